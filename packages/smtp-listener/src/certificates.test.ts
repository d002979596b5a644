import { once } from 'node:events'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { hasCode } from '@mailwright/core'
import { settle, testAuthority } from '@mailwright/testing'
import { expect, test } from 'vitest'
import { type ListenerTls, smtpListener } from './index.ts'
import { HELLO, type Rig, rig } from './test-support/rig.ts'
import { scriptedIntake } from './test-support/scripted-intake.ts'

const authority = testAuthority()
const mine = authority.issue({ names: ['mx.example.org'] })
const other = authority.issue({ names: ['mx.example.net'] })
const wild = authority.issue({ names: ['*.example.com'] })
const renewed = authority.issue({ names: ['renewed.example.org'] })
const sessions = (keys?: Uint8Array): ListenerTls => ({
  ...mine,
  mode: 'implicit',
  ...(keys === undefined ? {} : { ticketKeys: keys }),
})

/** A client with TLS from the first byte, as Node makes one. */
async function secured(server: Rig, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const { wire } = await server.connect('192.0.2.9')
  wire.removeAllListeners('data')
  const socket = connect({ socket: wire, rejectUnauthorized: false, ...options })
  socket.on('error', () => {})
  await once(socket, 'secureConnect')
  return socket
}

async function shownTo(server: Rig, servername?: string): Promise<unknown> {
  const socket = await secured(server, servername === undefined ? {} : { servername })
  const { subject } = socket.getPeerCertificate()
  socket.destroy()
  await settle()
  return subject.CN
}

/** A session ticket of a connection made for it. */
async function ticket(server: Rig, options: ConnectionOptions = {}): Promise<Buffer> {
  const socket = await secured(server, options)
  socket.resume()
  const [session] = (await once(socket, 'session')) as [Buffer]
  socket.destroy()
  await settle()
  return session
}

async function isResumed(server: Rig, session: Buffer): Promise<boolean> {
  const socket = await secured(server, { session })
  await settle()
  const resumed = socket.isSessionReused()
  expect(server.intake.clients.at(-1)?.tls?.resumed ?? false).toBe(resumed)
  socket.destroy()
  await settle()
  return resumed
}

test('each name gets its certificate, any other name and none the own one', async () => {
  const contexts = { 'MX.example.net': other, '*.example.com': wild }
  const server = await rig({}, { tls: { ...mine, contexts, mode: 'implicit' } })
  expect(await shownTo(server, 'mx.example.net')).toBe('mx.example.net')
  expect(await shownTo(server, 'Any.Example.com')).toBe('*.example.com')
  expect(await shownTo(server, 'one.more.example.com')).toBe('mx.example.org')
  expect(await shownTo(server, 'example.com')).toBe('mx.example.org')
  expect(await shownTo(server, 'nobody.example')).toBe('mx.example.org')
  expect(await shownTo(server)).toBe('mx.example.org')
  await server.finish()
})

test('a function says which certificate a name gets, is asked only for names, and may fail', async () => {
  const asked: string[] = []
  const contexts = async (name: string): Promise<typeof other | undefined> => {
    asked.push(name)
    if (name === 'broken.example') throw new Error('no database')
    return name === 'mx.example.net' ? other : undefined
  }
  const server = await rig({}, { tls: { ...mine, contexts, mode: 'implicit' } })
  expect(await shownTo(server, 'MX.example.net')).toBe('mx.example.net')
  expect(await shownTo(server, 'mx.example.net')).toBe('mx.example.net')
  expect(await shownTo(server, 'broken.example')).toBe('mx.example.org')
  expect(await shownTo(server, '../etc/passwd')).toBe('mx.example.org')
  expect(asked).toEqual(['mx.example.net', 'mx.example.net', 'broken.example'])
  expect(server.events.of('failure')).toMatchObject([{ where: expect.stringContaining('tls.contexts') }])
  await server.finish()
})

test('a renewed certificate is for new handshakes, and who is secured already does not notice', async () => {
  const server = await rig({}, { tls: { ...mine, mode: 'implicit' } })
  const before = await secured(server)
  server.listener.reloadTls({ ...renewed, mode: 'implicit' })
  expect(await shownTo(server)).toBe('renewed.example.org')
  before.write(HELLO)
  await settle()
  expect(String(before.read())).toContain('250 ENHANCEDSTATUSCODES')
  expect(() => server.listener.reloadTls({ key: 'x', cert: 'y', mode: 'implicit' })).toThrow('cannot be used')
  expect(() => server.listener.reloadTls(mine)).toThrow('cannot change between clear text and TLS')
  expect(await shownTo(server)).toBe('renewed.example.org')
  await server.finish()
  const plain = await rig()
  expect(() => plain.listener.reloadTls(mine)).toThrow('cannot change between clear text and TLS')
  await plain.finish()
})

test('a certificate the client shows is a fact, verified or not; nobody is asked for one by default', async () => {
  const client = authority.issue({ names: ['client.example'] })
  const stranger = testAuthority('Stranger').issue({ names: ['client.example'] })
  const tls: ListenerTls = { ...mine, mode: 'implicit', ca: authority.ca, clientCertificates: 'ask' }
  const server = await rig({}, { tls })
  for (const shown of [client, stranger, {}]) (await secured(server, shown)).resume()
  await settle()
  expect(server.intake.clients.map(({ tls }) => tls?.clientCertificate)).toMatchObject([
    {
      subject: 'CN=client.example',
      issuer: 'CN=Test authority',
      fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/),
      publicKeyFingerprint: Buffer.from(client.publicKeyHash).toString('hex'),
      verified: true,
    },
    { issuer: 'CN=Stranger', verified: false },
    undefined,
  ] as never)
  await server.finish()
  const silent = await rig({}, { tls: { ...tls, clientCertificates: 'no' } })
  ;(await secured(silent, client)).resume()
  await settle()
  expect(silent.intake.clients[0]?.tls).not.toHaveProperty('clientCertificate')
  await silent.finish()
})

test('a resumed session still has its client certificate', async () => {
  const client = authority.issue({ names: ['client.example'] })
  const server = await rig({}, { tls: { ...sessions(), ca: authority.ca, clientCertificates: 'ask' } })
  const session = await ticket(server, client)
  expect(await isResumed(server, session)).toBe(true)
  expect(server.intake.clients.at(-1)?.tls?.clientCertificate).toMatchObject({ verified: true })
  await server.finish()
})

test('a session resumes on another connection, and with shared keys on another host', async () => {
  const keys = Buffer.alloc(48, 7)
  const one = await rig({}, { tls: sessions(keys) })
  const session = await ticket(one)
  expect(await isResumed(one, session)).toBe(true)
  one.listener.reloadTls({ ...sessions(keys), ...renewed })
  expect(await isResumed(one, session)).toBe(true)
  const two = await rig({}, { tls: sessions(keys) })
  expect(await isResumed(two, session)).toBe(true)
  const stranger = await rig({}, { tls: sessions() })
  expect(await isResumed(stranger, session)).toBe(false)
  const trustsOthers = await rig({}, { tls: { ...sessions(keys), ca: authority.ca } })
  expect(await isResumed(trustsOthers, session)).toBe(false)
  for (const each of [one, two, stranger, trustsOthers]) await each.finish()
})

test('without shared keys no session outlives the certificate', async () => {
  const server = await rig({}, { tls: sessions() })
  const session = await ticket(server)
  expect(await isResumed(server, session)).toBe(true)
  server.listener.reloadTls(sessions())
  expect(await isResumed(server, session)).toBe(false)
  await server.finish()
})

test('ciphers, groups and versions are the ones configured', async () => {
  const ciphers = 'ECDHE-ECDSA-AES256-GCM-SHA384'
  const server = await rig({}, { tls: { ...mine, mode: 'implicit', ciphers, groups: ['P-384'] } })
  const socket = await secured(server, { maxVersion: 'TLSv1.2' })
  expect(socket.getCipher().name).toBe(ciphers)
  expect(socket.getEphemeralKeyInfo()).toMatchObject({ name: 'secp384r1' })
  await expect(secured(server, { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' })).rejects.toThrow()
  await expect(
    secured(server, { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }),
  ).rejects.toThrow()
  await settle()
  await server.finish()
})

test('a certificate for development is made on the spot, and the listener says so', async () => {
  const server = await rig({}, { tls: 'development' })
  expect(server.events.of('listener.ready')[0]?.listener).toContain('self-signed certificate, for development only')
  const plain = await server.greeted()
  await plain.says('STARTTLS\r\n')
  const client = await plain.secure({ servername: 'localhost' })
  expect(await client.says('NOOP\r\n')).toBe('250 2.0.0 OK\r\n')
  await server.finish()
})

test.each([
  { ticketKeys: Buffer.alloc(47) },
  { groups: ['P-000'] },
  { ciphers: 'NONE-AT-ALL' },
  { contexts: { 'mx.example.net': { key: 'x', cert: 'y' } } },
  { contexts: { 'mx.example.net': { key: other.key, cert: wild.cert } } },
])('TLS options that cannot be used are refused when the block is made: %j', (options) => {
  const make = (): unknown =>
    smtpListener({ intake: scriptedIntake(), port: 0, tls: { ...mine, ...options } }).create({
      environment: { clock: {} },
    } as never)
  expect(make).toThrow(expect.toSatisfy((error: unknown) => hasCode(error, 'ERR_MAILWRIGHT_CONFIG')))
})
