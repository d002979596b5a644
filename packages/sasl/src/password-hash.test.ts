/** Stored passwords as other programs make them; which made which is said beside it. */
import { describe, expect, it } from 'vitest'
import { passwordForms, textOf, userName } from './identity.ts'
import { matches } from './password-hash.ts'
import { parseSecret } from './stored-secret.ts'

const HASHES: readonly (readonly [maker: string, hash: string, password: string])[] = [
  // doveadm pw of Dovecot 2.3.19.1.
  ['doveadm', '{BLF-CRYPT}$2y$05$PbjQRYqVOG.3rpMzrkpyrO6RLq63LtzUakP66JJylk4B1rsPuYMyK', 'correct horse'],
  [
    'doveadm',
    '{SHA512-CRYPT}$6$aTNR34r0E6frhKEo$r63Cc/3uUSIPILuuztunpWVcv/2K4gvr2DXxjzZx4K2.L1zOwljoQtkWMjiTP3FOoqL4TWygLRToiDgxl2TEr/',
    'correct horse',
  ],
  ['doveadm', '{SHA256-CRYPT}$5$OvvLlzZZ.B9zc3rd$Af.d3Bla6wBzgfOjj2wIebAq97.JnsWXwzAhVqLzMA9', 'correct horse'],
  [
    'doveadm',
    '{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$4SVTNs8aYdLteV5sgqxW+g$Njo18WrTVqQZ/LLECD04xQIMm09SW9a6jYQfhUHFQCY',
    'correct horse',
  ],
  ['doveadm', '{PBKDF2}$1$VQpIc8179gcJ2fFM$5000$4478849363f83f070f309af286d054b6c44045c8', 'correct horse'],
  [
    'doveadm',
    '{SCRAM-SHA-256}4096,Sruh1Ai7+LOcLFftm+0bYw==,xzv86P3UlThkrUsAkc+6V3t1olMu/8lCZQdQF/FGRik=,tSMc5w8YjbakOpNyoAX+FA4/8aLDXVHCjoekWozM0tk=',
    'correct horse',
  ],
  ['doveadm', '{PLAIN}correct horse', 'correct horse'],
  [
    'doveadm',
    '{SSHA512}N8v9sWehQPiSrAZRuD8/xcAytUPzz8D2cPFG60AdFN3QTgs78/B7wgBt6YDmE8Zx4L0r8VBrLErIP/ct5GKNqGaOYDo=',
    'correct horse',
  ],
  ['openssl passwd -apr1', '$apr1$abcdefgh$sIQmFnT1CuEXAsyjuXjUX/', 'correct horse'],
  [
    'openssl passwd -6',
    '$6$abcdefgh$yIZAF3gQPvtKZO/9qOJKffAKKbtS3ef3qmwyugk4uWVjX8YZf/GV3A8SkFxEPY0T56CcilGrHKLffBsp6dLMG.',
    'correct horse',
  ],
  [
    'crypt(3), with rounds',
    '$6$rounds=1400$anotherlongsalts$BIJq9mRCZh1kev4gsEFy0R5hLBKgZM.fwvpxgy31e6bRJqRdXTpSE8TJFJysi3GwDPeX9bz4aZklq669D26ai0',
    'correct horse',
  ],
  ['openssl passwd -5', '$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5', 'Hello world!'],
  [
    'openssl passwd -6',
    '$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1',
    'Hello world!',
  ],
  [
    'openssl passwd -6',
    '$6$x$IFvZ.45LSOZ/ROclbATxNnWPFxNAWJsn165nn5EqYs7GlbU0CkzQvu.8FC2FX7KexmnaK5dcqoL/ZX6KhsdDv/',
    'ü'.repeat(100),
  ],
  ['openssl passwd -apr1', '$apr1$x$ds7fi40MBH26yoZSc0ow7/', 'ü'.repeat(40)],
  // The digest of "password", well known.
  ['htpasswd -s', '{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=', 'password'],
]

describe('a stored password', () => {
  it.each(HASHES)('made by %s as %s is told from a wrong one', async (_, hash, password) => {
    const parsed = parseSecret(hash)!
    expect(parsed, hash).toBeDefined()
    expect(await matches(password, parsed)).toBe(true)
    expect(await matches(`${password}.`, parsed)).toBe(false)
    expect(await matches('', parsed)).toBe(false)
  })

  it.each([
    '',
    'secret',
    '{UNKNOWN}x',
    '{PLAIN}',
    '$2y$31$PbjQRYqVOG.3rpMzrkpyrO6RLq63LtzUakP66JJylk4B1rsPuYMyK',
    '$2y$05$short',
    '{SHA}W6ph5Mm5Pz8G',
    '{SSHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=',
    '{SCRAM-SHA-256}4096,x,y,z',
    '{PBKDF2}$1$salt$0$4478849363f83f070f309af286d054b6c44045c8',
    `$6$rounds=999999999$x$${'a'.repeat(86)}`,
    '$argon2id$v=19$m=99999999,t=3,p=1$4SVTNs8aYdLteV5sgqxW+g$Njo18WrTVqQZ',
  ])('is refused when it is none, or too costly: %s', (text) => {
    expect(parseSecret(text)).toBeUndefined()
  })
})

describe('a name or a password', () => {
  it.each(['', 'a\nb', 'a\0b', 'a\tb', 'x'.repeat(256), '\u00ad', 'a\u202eb', '\ud800'])('%j names nobody', (name) => {
    expect(userName(name)).toBeUndefined()
  })

  it('is prepared as SASLprep says, with emoji let through', () => {
    expect([userName('I\u00adX'), userName('\u2168'), userName('ann🐦')]).toEqual(['IX', 'IX', 'ann🐦'])
    expect(passwordForms('a\u00a0b')).toEqual(['a b', 'a\u00a0b'])
    expect([passwordForms(''), passwordForms('a\0'), passwordForms('x'.repeat(1_025))]).toEqual([[], [], []])
  })

  it('is read from UTF-8 and nothing else', () => {
    expect([textOf(Buffer.from('ü')), textOf(Buffer.from([0xfc]))]).toEqual(['ü', undefined])
  })
})
