import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatMailbox, mailboxKey, needsSmtpUtf8, parseMailbox } from './mailbox.ts'

describe('an address', () => {
  it.each([
    ['ann@example.org', { local: 'ann', domain: 'example.org' }],
    ['Ann@Example.ORG', { local: 'Ann', domain: 'example.org' }],
    ['a.b+tag@sub.example.org', { local: 'a.b+tag', domain: 'sub.example.org' }],
    ['"a b"@example.org', { local: 'a b', domain: 'example.org' }],
    ['"a\\"b\\\\c"@example.org', { local: 'a"b\\c', domain: 'example.org' }],
    ['"a@b"@example.org', { local: 'a@b', domain: 'example.org' }],
    ['""@example.org', { local: '', domain: 'example.org' }],
    ['ann@[192.0.2.1]', { local: 'ann', domain: '[192.0.2.1]' }],
    ['ann@[IPv6:2001:db8::1]', { local: 'ann', domain: '[ipv6:2001:db8::1]' }],
    ['ann@[IPv6:::ffff:192.0.2.1]', { local: 'ann', domain: '[ipv6:::ffff:192.0.2.1]' }],
    ['ann@[ipv6:1:2:3:4:5:6:7:8]', { local: 'ann', domain: '[ipv6:1:2:3:4:5:6:7:8]' }],
    ['ann@a--b.xn--mnchen-3ya.example', { local: 'ann', domain: 'a--b.xn--mnchen-3ya.example' }],
    ['ännchen@münchen.example', { local: 'ännchen', domain: 'münchen.example' }],
    ['ann@under_score.example', { local: 'ann', domain: 'under_score.example' }],
    ['postmaster', { local: 'postmaster', domain: '' }],
    ['Postmaster', { local: 'Postmaster', domain: '' }],
  ])('reads %s', (text, mailbox) => {
    expect(parseMailbox(text)).toEqual(mailbox)
  })

  it.each([
    'ann',
    '@example.org',
    'ann@',
    'ann@@example.org',
    'a b@example.org',
    '.ann@example.org',
    'ann.@example.org',
    'an..n@example.org',
    'ann@-example.org',
    'ann@example-.org',
    'ann@example.org-',
    'ann@[IPv6:::::]',
    'ann@[IPv6:1:2:3:4:5:6:7:8:9]',
    'ann@[IPv6:12345::1]',
    'ann@[IPv6:::300.1.1.1]',
    'ann@[IPv6:...]',
    'ann@example..org',
    'ann@.example.org',
    'ann@[300.1.1.1.1]',
    'ann@[300.1.1.1]',
    'ann@[example]',
    'ann@exa mple.org',
    'ann@example.org\r\nRCPT TO:<x@y>',
    '"ann\r"@example.org',
    '"unfinished@example.org',
    `${'a'.repeat(65)}@example.org`,
    `ann@${'a'.repeat(64)}.org`,
    `ann@${'a.'.repeat(130)}org`,
  ])('refuses %j', (text) => {
    expect(parseMailbox(text)).toBeUndefined()
  })

  it('reads what it wrote, whatever the local part', () => {
    const local = fc.string({ minLength: 0, maxLength: 30 }).filter((text) => /^[\x20-\x7e]*$/.test(text))
    fc.assert(
      fc.property(local, (part) => {
        const mailbox = { local: part, domain: 'example.org' }
        expect(parseMailbox(formatMailbox(mailbox))).toEqual(mailbox)
      }),
    )
  })

  it('writes the null sender as nothing, and the bare postmaster without a domain', () => {
    expect(formatMailbox(null)).toBe('')
    expect(formatMailbox({ local: 'postmaster', domain: '' })).toBe('postmaster')
  })

  it('is the same under any case when looked up', () => {
    expect(mailboxKey({ local: 'Ann', domain: 'example.org' })).toBe('ann@example.org')
  })

  it('needs SMTPUTF8 when either part is not ASCII', () => {
    expect(needsSmtpUtf8({ local: 'ann', domain: 'example.org' })).toBe(false)
    expect(needsSmtpUtf8({ local: 'änn', domain: 'example.org' })).toBe(true)
    expect(needsSmtpUtf8({ local: 'ann', domain: 'exämple.org' })).toBe(true)
  })
})
