/** curl, which sends mail too, and can log in with a token as RFC 7628 has it. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TokenMechanism, tokenAuthentication } from '@mailwright/sasl'
import { describe, expect, it } from 'vitest'
import { missing, runProgram } from './programs.ts'
import { annSubmits, authority, certificate, envelopeText, type ReceiverOptions, startReceiver } from './receiver.ts'
import { temporaryFolder } from './temporary-folder.ts'

const LETTER = 'Subject: hi\r\n\r\n.\r\nhi\r\n'

/** Sends the letter to `smtp://localhost:25/` or the like. Rejects with what curl says when it is refused. */
function curl(url: string, ...more: readonly string[]): Promise<string> {
  const folder = temporaryFolder()
  const [letter, ca] = [join(folder, 'letter'), join(folder, 'ca.pem')]
  writeFileSync(letter, LETTER)
  writeFileSync(ca, authority.ca)
  const mail = ['--mail-from', 'ann@example.net', '--mail-rcpt', 'bob@example.org', '--upload-file', letter]
  // Over TCP on this host, whatever proxies the environment names.
  const quiet = ['--silent', '--show-error', '--verbose', '--noproxy', '*', '--ipv4', '--max-time', '20']
  return runProgram('curl', [...quiet, '--cacert', ca, ...mail, ...more, url])
}

/** A submission service for whoever has the token `good`. */
function tokens(mechanism: TokenMechanism): ReceiverOptions {
  const check = async (token: string) =>
    token === 'good' ? ({ kind: 'user', user: 'ann' } as const) : ({ kind: 'refused', reason: 'expired' } as const)
  return {
    auth: (mta) => mta.use(tokenAuthentication({ tokens: { name: 'one-token', check }, mechanisms: [mechanism] })),
    listener: { profile: 'submission', tls: certificate },
  }
}

describe.skipIf(missing('curl'))('curl', () => {
  it.each([
    ['STARTTLS', 'starttls', 'smtp'],
    ['TLS from the first byte', 'implicit', 'smtps'],
  ] as const)('verifies us and sends by %s', async (_how, mode, scheme) => {
    const receiver = await startReceiver({ listener: { tls: { ...certificate, mode } } })
    await curl(`${scheme}://localhost:${receiver.port}/client.example`, '--ssl-reqd')
    expect(receiver.mails).toMatchObject([{ session: { helo: 'client.example', tls: { servername: 'localhost' } } }])
    expect(receiver.mails[0]!.bytes.toString()).toBe(LETTER)
  })

  it.each(['PLAIN', 'LOGIN', 'CRAM-MD5'] as const)('logs in by %s', async (mechanism) => {
    const receiver = await startReceiver(annSubmits(['PLAIN', 'LOGIN', 'CRAM-MD5']))
    const url = `smtp://localhost:${receiver.port}`
    const login = ['--ssl-reqd', '--login-options', `AUTH=${mechanism}`]
    await curl(url, ...login, '--user', 'ann:pencil')
    await curl(url, ...login, '--sasl-ir', '--user', 'ann:pencil')
    expect(receiver.mails.map(({ session }) => session)).toMatchObject([
      { user: 'ann', mechanism },
      { user: 'ann', mechanism },
    ])
    await expect(curl(url, ...login, '--user', 'ann:wrong')).rejects.toThrow('535 5.7.8')
  })

  it.each(['OAUTHBEARER', 'XOAUTH2'] as const)('logs in with a token by %s', async (mechanism) => {
    const receiver = await startReceiver(tokens(mechanism))
    const url = `smtp://localhost:${receiver.port}`
    const login = (token: string): readonly string[] => ['--ssl-reqd', '--user', 'ann', '--oauth2-bearer', token]
    await curl(url, ...login('good'))
    await curl(url, '--sasl-ir', ...login('good'))
    expect(receiver.mails.map(({ session }) => session)).toMatchObject([
      { user: 'ann', mechanism },
      { user: 'ann', mechanism },
    ])
    // Told that by a challenge, it answers to OAUTHBEARER and hangs up on XOAUTH2.
    await expect(curl(url, ...login('bad'))).rejects.toThrow('curl ended with 67')
    expect(receiver.mails).toHaveLength(2)
  })

  it('is told who there is none of, and the others get the mail', async () => {
    const receiver = await startReceiver()
    const more = ['--mail-rcpt', 'nobody@example.org', '--mail-rcpt-allowfails']
    expect(await curl(`smtp://localhost:${receiver.port}`, ...more)).toBe('')
    expect(receiver.mails.map(({ envelope }) => envelopeText(envelope))).toEqual(['ann@example.net -> bob@example.org'])
  })
})
