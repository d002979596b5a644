/** Nodemailer, which most programs on Node.js send by: it pools connections, and sends envelope and DATA in one go. */
import { tokenAuthentication } from '@mailwright/sasl'
import { createTransport } from 'nodemailer'
import { describe, expect, it, onTestFinished } from 'vitest'
import { annSubmits, authority, certificate, envelopeText, type Receiver, startReceiver } from './receiver.ts'

type Mailer = ReturnType<typeof createTransport>
type Options = Parameters<typeof createTransport>[0] & object

/** Who speaks out of turn is sent away, from loopback too. */
const STRICT = {
  exempt: () => false,
  protocolTests: { earlyTalker: 'drop', pipelining: 'drop', bareNewline: 'drop' },
} as const
const HI = { from: 'ann@example.net', to: 'bob@example.org', subject: 'hi', text: '.\n..\nhi' } as const

function mailer({ port }: Receiver, more: object = {}): Mailer {
  const made = createTransport({
    host: '127.0.0.1',
    port,
    tls: { ca: authority.ca, servername: 'localhost' },
    ...more,
  } as Options)
  onTestFinished(() => made.close())
  return made
}

describe('nodemailer', () => {
  it('sends much mail over a few connections, each envelope in one go', async () => {
    const receiver = await startReceiver({ listener: STRICT })
    const pool = mailer(receiver, { pool: true, maxConnections: 3 })
    const subjects = Array.from({ length: 60 }, (_, index) => `letter ${index}`)
    await Promise.all(subjects.map((subject) => pool.sendMail({ ...HI, subject })))
    const arrived = receiver.mails.map(({ bytes }) => /^Subject: (.*)\r$/m.exec(bytes.toString())?.[1])
    expect(arrived.sort()).toEqual([...subjects].sort())
    expect(new Set(receiver.mails.map(({ session }) => session.id)).size).toBeLessThanOrEqual(3)
    expect(receiver.mails[0]!.bytes.toString()).toMatch(/\r\n\r\n\.\r\n\.\.\r\nhi\r\n$/)
  })

  it('is told who there is none of, and the others get the mail', async () => {
    const receiver = await startReceiver({ listener: STRICT })
    const to = ['bob@example.org', 'nobody@example.org', 'carol@example.org', 'later@example.org']
    const sent = await mailer(receiver).sendMail({ ...HI, to })
    expect(sent).toMatchObject({
      accepted: ['bob@example.org', 'carol@example.org'],
      rejected: ['nobody@example.org', 'later@example.org'],
      rejectedErrors: [{ responseCode: 550 }, { responseCode: 450 }],
    })
    expect(receiver.mails.map(({ envelope }) => envelopeText(envelope))).toEqual([
      'ann@example.net -> bob@example.org carol@example.org',
    ])
  })

  it('is told so where there is nobody at all, and goes on with the next message', async () => {
    const receiver = await startReceiver({ listener: STRICT })
    const pool = mailer(receiver, { pool: true, maxConnections: 1 })
    await expect(pool.sendMail({ ...HI, to: 'nobody@example.org' })).rejects.toMatchObject({ responseCode: 550 })
    await pool.sendMail(HI)
    expect(receiver.mails).toHaveLength(1)
  })

  it.each([
    ['STARTTLS', 'starttls'],
    ['TLS from the first byte', 'implicit'],
  ] as const)('verifies us and sends by %s, and no hop may do without TLS', async (_how, mode) => {
    const receiver = await startReceiver({
      listener: { tls: { ...certificate, mode } },
      capabilities: ['requiretls'],
    })
    const secured = mode === 'implicit' ? { secure: true } : { requireTLS: true }
    await mailer(receiver, secured).sendMail({ ...HI, requireTLSExtensionEnabled: true })
    expect(receiver.mails).toMatchObject([
      { session: { tls: { protocol: 'TLSv1.3' } }, envelope: { options: { requireTls: true } } },
    ])
  })

  it.each(['PLAIN', 'LOGIN', 'CRAM-MD5'] as const)('logs in by %s', async (mechanism) => {
    const receiver = await startReceiver(annSubmits([mechanism]))
    await mailer(receiver, { auth: { user: 'ann', pass: 'pencil' } }).sendMail(HI)
    expect(receiver.mails).toMatchObject([{ session: { user: 'ann', mechanism } }])
    await expect(mailer(receiver, { auth: { user: 'ann', pass: 'wrong' } }).sendMail(HI)).rejects.toMatchObject({
      code: 'EAUTH',
      responseCode: 535,
    })
    expect(receiver.mails).toHaveLength(1)
  })

  it('logs in by XOAUTH2', async () => {
    const receiver = await startReceiver({
      auth: (mta) =>
        mta.use(
          tokenAuthentication({
            tokens: {
              name: 'one-token',
              check: async (token) =>
                token === 'good' ? { kind: 'user', user: 'ann' } : { kind: 'refused', reason: 'not that one' },
            },
          }),
        ),
      listener: { profile: 'submission', tls: certificate },
    })
    const auth = { type: 'OAuth2', user: 'ann' }
    await mailer(receiver, { auth: { ...auth, accessToken: 'good' } }).sendMail(HI)
    expect(receiver.mails).toMatchObject([{ session: { user: 'ann', mechanism: 'XOAUTH2' } }])
    await expect(mailer(receiver, { auth: { ...auth, accessToken: 'bad' } }).sendMail(HI)).rejects.toMatchObject({
      code: 'EAUTH',
    })
    expect(receiver.mails).toHaveLength(1)
  })

  it('asks for notices', async () => {
    const receiver = await startReceiver()
    const dsn = { id: 'a+b=c', return: 'headers', notify: ['failure', 'delay'], recipient: 'bob@example.org' }
    await mailer(receiver).sendMail({ ...HI, dsn })
    expect(receiver.mails[0]!.envelope).toMatchObject({
      options: { ret: 'hdrs', envid: 'a+2Bb+3Dc' },
      recipients: [{ notify: ['failure', 'delay'], orcpt: 'rfc822;bob@example.org' }],
    })
  })

  it('sends to addresses in UTF-8', async () => {
    const receiver = await startReceiver()
    await mailer(receiver).sendMail({ ...HI, to: 'jürgen@example.org', subject: 'Grüße' })
    expect(envelopeText(receiver.mails[0]!.envelope)).toBe('ann@example.net -> jürgen@example.org')
    expect(receiver.mails[0]!.envelope.options).toMatchObject({ smtputf8: true })
  })

  it('sends what does not fit into memory, and it comes whole', async () => {
    const receiver = await startReceiver({ listener: STRICT })
    const content = Buffer.alloc(3 * 1_048_576, 'All work and no play makes Jack a dull boy.\n')
    await mailer(receiver).sendMail({ ...HI, attachments: [{ filename: 'novel.txt', content }] })
    const base64 = /filename=novel\.txt[\s\S]*?\r\n\r\n([A-Za-z0-9+/=\r\n]+)\r\n/.exec(
      receiver.mails[0]!.bytes.toString(),
    )
    expect(Buffer.from(base64![1]!, 'base64').equals(content)).toBe(true)
  })

  it('delivers by LMTP, and hears of each recipient', async () => {
    const receiver = await startReceiver({ listener: { protocol: 'lmtp' } })
    const sent = await mailer(receiver, { lmtp: true }).sendMail({ ...HI, to: ['bob@example.org', 'full@example.org'] })
    expect(sent).toMatchObject({ accepted: ['bob@example.org'], rejected: ['full@example.org'] })
    expect(receiver.mails).toMatchObject([{ session: { protocol: 'lmtp' } }])
  })
})
