/** Python's smtplib, which scripts send by: one command at a time. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { missing, runProgram } from './programs.ts'
import { annSubmits, authority, certificate, envelopeText, type Receiver, startReceiver } from './receiver.ts'
import { temporaryFolder } from './temporary-folder.ts'

const MESSAGE = 'Subject: hi\r\n\r\n.\r\nhi\r\n'

/** What it was told: whom we refused, and the exception it threw. */
interface Told {
  readonly refused?: Readonly<Record<string, string>>
  readonly error?: string
  readonly code?: number
}

async function smtplib({ port }: Receiver, job: object): Promise<Told> {
  const ca = join(temporaryFolder(), 'ca.pem')
  writeFileSync(ca, authority.ca)
  const script = join(import.meta.dirname, 'smtplib-client.py')
  const whole = { port, ca, to: ['bob@example.org'], message: MESSAGE, ...job }
  return JSON.parse(await runProgram('python3', [script], JSON.stringify(whole))) as Told
}

describe.skipIf(missing('python3'))("Python's smtplib", () => {
  it.each(['starttls', 'implicit'] as const)('verifies us and sends by TLS: %s', async (tls) => {
    const receiver = await startReceiver({ listener: { tls: { ...certificate, mode: tls } } })
    expect(await smtplib(receiver, { tls })).toEqual({ refused: {} })
    expect(receiver.mails).toMatchObject([{ session: { tls: { protocol: 'TLSv1.3', servername: 'localhost' } } }])
    expect(receiver.mails[0]!.bytes.toString()).toBe(MESSAGE)
  })

  it.each(['PLAIN', 'LOGIN', 'CRAM-MD5'] as const)('logs in by %s', async (mechanism) => {
    const receiver = await startReceiver(annSubmits(['PLAIN', 'LOGIN', 'CRAM-MD5']))
    const login = { tls: 'starttls', mechanism, initialResponse: true }
    expect(await smtplib(receiver, { ...login, password: 'pencil' })).toEqual({ refused: {} })
    expect(await smtplib(receiver, { ...login, initialResponse: false, password: 'pencil' })).toEqual({ refused: {} })
    expect(receiver.mails.map(({ session }) => session)).toMatchObject([
      { user: 'ann', mechanism },
      { user: 'ann', mechanism },
    ])
    expect(await smtplib(receiver, { ...login, password: 'wrong' })).toEqual({
      error: 'SMTPAuthenticationError',
      code: 535,
    })
  })

  it('sends to addresses in UTF-8', async () => {
    const receiver = await startReceiver()
    const options = ['SMTPUTF8', 'BODY=8BITMIME']
    expect(
      await smtplib(receiver, { to: ['jürgen@köln.example'], options, message: 'Subject: Grüße\r\n\r\n' }),
    ).toEqual({
      refused: {},
    })
    expect(envelopeText(receiver.mails[0]!.envelope)).toBe('ann@example.net -> jürgen@köln.example')
    expect(receiver.mails[0]!.envelope.options).toMatchObject({ smtputf8: true, body: '8bitmime' })
  })

  it('is told who there is none of, and the others get the mail', async () => {
    const receiver = await startReceiver()
    const to = ['bob@example.org', 'nobody@example.org', 'later@example.org']
    expect(await smtplib(receiver, { to })).toEqual({
      refused: { 'nobody@example.org': '550 5.1.1 No such mailbox', 'later@example.org': '450 4.2.0 Not now' },
    })
    expect(receiver.mails.map(({ envelope }) => envelopeText(envelope))).toEqual(['ann@example.net -> bob@example.org'])
  })

  it('is told so where there is nobody at all', async () => {
    const receiver = await startReceiver()
    expect(await smtplib(receiver, { to: ['nobody@example.org'] })).toEqual({
      error: 'SMTPRecipientsRefused',
      refused: { 'nobody@example.org': '550 5.1.1 No such mailbox' },
    })
    expect(await smtplib(receiver, { to: ['full@example.org'] })).toEqual({ error: 'SMTPDataError', code: 552 })
  })
})
