/**
 * Postfix as our client. A recipient's domain says how it sends, and where: `bob@verified.example` goes to our first port
 * by the service `verified` of its master.cf, `bob@other.verified.example` to our second one. Its SMTP client has no
 * BDAT: chunks are `pipelining.test.ts`'s and Exim's.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { testAuthority } from '@mailwright/testing'
import { createTransport } from 'nodemailer'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePort } from '../bench/ports.ts'
import { type Postfix, startPostfix } from './postfix.ts'
import { missing, notRoot } from './programs.ts'
import {
  annSubmits,
  authority,
  certificate,
  envelopeText,
  type ReceivedMail,
  type Receiver,
  startReceiver,
} from './receiver.ts'

const LETTER = 'From: ann@example.net\r\nMessage-ID: <1@example.net>\r\nSubject: hi\r\n\r\n.\r\nhi\r\n'
const SASL = ['plain', 'login', 'cram-md5', 'scram-sha-256'] as const

/** Ways of sending, as options of Postfix's smtp(8) and lmtp(8). */
const WAYS: Readonly<Record<string, string>> = {
  clear: 'smtp -o smtp_tls_security_level=none',
  may: 'smtp -o smtp_tls_security_level=may',
  encrypted: 'smtp -o smtp_tls_security_level=encrypt',
  verified: 'smtp -o smtp_tls_security_level=verify',
  wrapped: 'smtp -o smtp_tls_security_level=verify -o smtp_tls_wrappermode=yes',
  mailbox: 'lmtp',
  forwarded: 'smtp -o smtp_send_xforward_command=yes',
  ...Object.fromEntries(
    SASL.map((mechanism) => [
      mechanism,
      `smtp -o smtp_tls_security_level=verify -o smtp_sasl_auth_enable=yes -o smtp_sasl_mechanism_filter=${mechanism}`,
    ]),
  ),
}

/** What no transport is for is thrown away: notices for senders. */
function settings(folder: string, socket: string, [port, other]: readonly [number, number]): Record<string, string> {
  const transports = join(folder, 'transports')
  const lines = Object.keys(WAYS).map(
    (way) => `${way}.example ${way}:[localhost]:${port}\nother.${way}.example ${way}:[localhost]:${other}\n`,
  )
  writeFileSync(transports, `${lines.join('')}unix.example lmtp:unix:${socket}\n`)
  const trusted = join(folder, 'ca.pem')
  writeFileSync(trusted, authority.ca)
  return {
    transport_maps: `texthash:${transports}`,
    default_transport: 'discard',
    smtp_host_lookup: 'native',
    lmtp_host_lookup: 'native',
    smtp_tls_CAfile: trusted,
    smtp_tls_verify_cert_match: 'hostname',
    smtp_sasl_password_maps: 'static:ann:pencil',
    smtp_sasl_tls_security_options: 'noanonymous',
  }
}

describe.skipIf(missing('postfix') || notRoot())('Postfix', () => {
  const folder = mkdtempSync(join(tmpdir(), 'mailwright-postfix-'))
  const socket = join(folder, 'lmtp')
  let postfix: Postfix
  let [port, other] = [0, 0]

  beforeAll(async () => {
    port = await freePort()
    other = await freePort()
    const services = Object.entries(WAYS).map(([name, command]) => `${name} unix - - n - - ${command}`)
    postfix = await startPostfix(folder, { settings: settings(folder, socket, [port, other]), services })
  }, 60_000)

  afterAll(() => {
    postfix?.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  /** Gives Postfix a letter to send on, and its name for it in the log. */
  async function submit(to: string | readonly string[], more: object = {}): Promise<string> {
    const mailer = createTransport({ host: '127.0.0.1', port: postfix.port, name: 'client.example', ignoreTLS: true })
    const mail = { envelope: { from: 'ann@example.net', to: [to].flat(), ...more }, raw: LETTER, ...more }
    const { response } = await mailer.sendMail(mail as Parameters<typeof mailer.sendMail>[0])
    return /queued as (\S+)/.exec(response!)![1]!
  }

  async function arrived({ mails }: Receiver): Promise<readonly ReceivedMail[]> {
    await until(() => mails.length > 0)
    return mails
  }

  /** What Postfix says became of a recipient. */
  async function fate(id: string, recipient: string): Promise<string> {
    const line = new RegExp(`${id}: to=<${recipient}>, .*? status=(.*)$`, 'm')
    await until(() => line.test(postfix.log()))
    return line.exec(postfix.log())![1]!
  }

  async function until(done: () => boolean): Promise<void> {
    try {
      await expect.poll(done, { timeout: 15_000 }).toBe(true)
    } catch (error) {
      throw new Error(`it did not come to that:\n${postfix.log()}`, { cause: error })
    }
  }

  it('sends in clear text where it may, and asks for TLS where we have it', async () => {
    const bare = await startReceiver({ listener: { port } })
    const secured = await startReceiver({ listener: { port: other, tls: certificate } })
    await submit('bob@may.example')
    await submit('bob@other.may.example')
    expect((await arrived(bare))[0]!.session).toMatchObject({ extended: true, helo: 'postfix.example.org' })
    expect((await arrived(secured))[0]!.session.tls).toMatchObject({ protocol: 'TLSv1.3' })
    expect(bare.mails[0]!.session.tls).toBeUndefined()
    expect(bare.mails[0]!.bytes.toString()).toMatch(/^Received: from client\.example [\s\S]*\r\n\.\r\nhi\r\n$/)
  })

  it('insists on TLS, and waits where there is none', async () => {
    const bare = await startReceiver({ listener: { port } })
    const secured = await startReceiver({ listener: { port: other, tls: certificate } })
    const refused = await submit('bob@encrypted.example')
    await submit('bob@other.encrypted.example')
    expect((await arrived(secured))[0]!.session.tls).toBeDefined()
    expect(await fate(refused, 'bob@encrypted.example')).toMatch(/^deferred \(TLS is required, but was not/)
    expect(bare.mails).toEqual([])
  })

  it('verifies us, and waits where it does not know who vouches for us', async () => {
    const stranger = testAuthority('Nobody we know').issue({ names: ['localhost'] })
    const known = await startReceiver({ listener: { port, tls: certificate } })
    const unknown = await startReceiver({ listener: { port: other, tls: stranger } })
    await submit('bob@verified.example')
    const refused = await submit('bob@other.verified.example')
    expect((await arrived(known))[0]!.session.tls).toBeDefined()
    expect(await fate(refused, 'bob@other.verified.example')).toMatch(/^deferred \(Server certificate not/)
    expect(unknown.mails).toEqual([])
  })

  it('verifies us where TLS begins with the first byte', async () => {
    const receiver = await startReceiver({ listener: { port, tls: { ...certificate, mode: 'implicit' } } })
    await submit('bob@wrapped.example')
    expect((await arrived(receiver))[0]!.session.tls).toMatchObject({ protocol: 'TLSv1.3' })
  })

  it.each(SASL)('logs in to our submission service by %s', async (mechanism) => {
    const { auth, listener } = annSubmits(SASL.map((each) => each.toUpperCase() as Uppercase<typeof each>))
    const receiver = await startReceiver({ auth: auth!, listener: { ...listener, port } })
    await submit(`bob@${mechanism}.example`)
    expect((await arrived(receiver))[0]!.session).toMatchObject({ user: 'ann', mechanism: mechanism.toUpperCase() })
  })

  it('hands on what the sender wants to hear', async () => {
    const receiver = await startReceiver({ listener: { port } })
    const dsn = { id: 'a+b=c', return: 'headers', notify: ['failure', 'delay'], recipient: 'robert@example.com' }
    await submit('bob@clear.example', { dsn })
    expect((await arrived(receiver))[0]!.envelope).toMatchObject({
      options: { ret: 'hdrs', envid: 'a+2Bb+3Dc' },
      recipients: [{ notify: ['failure', 'delay'], orcpt: 'rfc822;robert@example.com' }],
    })
  })

  it('sends to addresses in UTF-8, and returns the mail where we do not take them', async () => {
    const willing = await startReceiver({ listener: { port } })
    await startReceiver({ listener: { port: other }, capabilities: [] })
    await submit('jürgen@clear.example')
    const { envelope } = (await arrived(willing))[0]!
    expect(envelopeText(envelope)).toBe('ann@example.net -> jürgen@clear.example')
    expect(envelope.recipients).toMatchObject([{ orcpt: 'rfc822;j+C3+BCrgen@clear.example' }])
    expect(envelope.options).toMatchObject({ smtputf8: true })
    const refused = await submit('jürgen@other.clear.example')
    expect(await fate(refused, 'jürgen@other.clear.example')).toMatch(/^bounced \(SMTPUTF8 is required/)
  })

  it('sends a large message, and it comes whole', async () => {
    const receiver = await startReceiver({ listener: { port } })
    const raw = `${LETTER}${'.All work and no play makes Jack a dull boy.\r\n'.repeat(300_000)}`
    await submit('bob@clear.example', { raw })
    const [mail] = await arrived(receiver)
    expect(mail!.bytes.subarray(-raw.length).equals(Buffer.from(raw))).toBe(true)
  })

  it('does not try a message larger than we announce', async () => {
    await startReceiver({ listener: { port }, intake: { maxSize: 110_000 } })
    const id = await submit('bob@clear.example', { raw: `${LETTER}${'0123456789\r\n'.repeat(10_000)}` })
    expect(await fate(id, 'bob@clear.example')).toMatch(
      /^bounced \(message size \d+ exceeds size limit 110000 of server/,
    )
  })

  it('pipelines as it may, and hears of each recipient', async () => {
    const receiver = await startReceiver({
      listener: { port, exempt: () => false, protocolTests: { pipelining: 'drop', earlyTalker: 'drop' } },
    })
    const id = await submit(['bob', 'nobody', 'later', 'carol'].map((name) => `${name}@clear.example`))
    expect(envelopeText((await arrived(receiver))[0]!.envelope)).toBe(
      'ann@example.net -> bob@clear.example carol@clear.example',
    )
    expect(await fate(id, 'bob@clear.example')).toMatch(/^sent \(250 2\.0\.0 /)
    expect(await fate(id, 'nobody@clear.example')).toMatch(/^bounced \(host localhost.* said: 550 5\.1\.1 No such/)
    expect(await fate(id, 'later@clear.example')).toMatch(/^deferred \(host localhost.* said: 450 4\.2\.0 Not now/)
  })

  it('delivers by LMTP over TCP, and hears of each recipient after the message', async () => {
    const receiver = await startReceiver({ listener: { port, protocol: 'lmtp' } })
    const id = await submit(['bob@mailbox.example', 'full@mailbox.example', 'nobody@mailbox.example'])
    expect((await arrived(receiver))[0]!.session).toMatchObject({ protocol: 'lmtp' })
    expect(await fate(id, 'bob@mailbox.example')).toMatch(/^sent \(250 2\.0\.0 /)
    expect(await fate(id, 'full@mailbox.example')).toMatch(/^bounced \(host .* said: 552 5\.2\.2 Mailbox full/)
    expect(await fate(id, 'nobody@mailbox.example')).toMatch(/^bounced \(host .* said: 550 5\.1\.1 No such mailbox/)
  })

  it('delivers by LMTP over a unix socket', async () => {
    // Its client runs as the user postfix.
    const listener = { protocol: 'lmtp', path: socket, mode: 0o666, unixPeers: 'loopback' } as const
    const receiver = await startReceiver({ listener })
    const id = await submit(['bob@unix.example', 'full@unix.example'])
    expect((await arrived(receiver))[0]!.session).toMatchObject({ protocol: 'lmtp', client: { address: '127.0.0.1' } })
    expect(await fate(id, 'bob@unix.example')).toMatch(/^sent /)
    expect(await fate(id, 'full@unix.example')).toMatch(/^bounced /)
  })

  it('says for whom it sends, with XFORWARD', async () => {
    const receiver = await startReceiver({ listener: { port, trusted: { xforward: ['127.0.0.1'] } } })
    const id = await submit('bob@forwarded.example')
    await arrived(receiver)
    const forwarded = receiver.events.filter((event) => event.type === 'session.forwarded')
    expect(Object.assign({}, ...forwarded.map((event) => event.forwarded))).toMatchObject({ helo: 'client.example' })
    expect(JSON.stringify(forwarded)).toContain(id)
  })
})
