import { hasCode } from '@mailwright/core'
import { settle, testAuthority } from '@mailwright/testing'
import { expect, test } from 'vitest'
import { smtpListener } from './index.ts'
import { ENVELOPE, HELLO, rig } from './test-support/rig.ts'
import { scriptedIntake } from './test-support/scripted-intake.ts'

const HEADER = 'PROXY TCP4 192.0.2.7 198.51.100.1 40000 25\r\n'
const proxy = { from: ['10.0.0.0/8', '2001:db8::/32'] }
const certificate = testAuthority().issue({ names: ['mx.example.org'] })

test('behind a proxy the client is who the header names, and the proxy speaks for it', async () => {
  const { connect, intake, finish } = await rig({}, { proxy })
  const client = await connect('10.0.0.9')
  expect(await client.heard()).toBe('')
  expect(await client.says(HEADER)).toBe('220 mx.example.org ESMTP\r\n')
  expect(await client.says(`${HELLO}`)).toContain('250 ENHANCEDSTATUSCODES')
  await client.says(`${ENVELOPE}DATA\r\n`)
  expect(await client.says('hello\r\n.\r\n')).toBe('250 2.0.0 queued\r\n')
  expect(intake.clients).toMatchObject([
    {
      client: { address: '192.0.2.7', port: 40_000 },
      server: { address: '198.51.100.1', port: 25 },
      via: { address: '10.0.0.9' },
    },
  ])
  await finish()
})

test('a header in pieces, and one with the first command behind it, lose nothing', async () => {
  const { connect, intake, finish } = await rig({}, { proxy })
  const slow = await connect('10.0.0.9')
  expect(await slow.says(HEADER.slice(0, 9))).toBe('')
  expect(await slow.says(HEADER.slice(9))).toContain('220')
  const eager = await connect('2001:db8::1')
  expect(await eager.says(`${HEADER}NOOP\r\n`)).toBe('220 mx.example.org ESMTP\r\n250 2.0.0 OK\r\n')
  expect(intake.clients).toHaveLength(2)
  await finish()
})

test('who is no proxy is cut off, header or not, and nothing is asked of the intake', async () => {
  const { connect, intake, events, finish } = await rig({}, { proxy })
  const client = await connect('192.0.2.9')
  client.wire.write(HEADER)
  expect(await client.heard()).toBe('')
  expect(client.closed).toBe(true)
  expect(intake.clients).toEqual([])
  expect(events.of('connection.refused')).toMatchObject([
    { client: { address: '192.0.2.9' }, reason: 'not one of the proxies' },
  ])
  await finish()
})

test('a proxy that sends no header, or something else, is cut off without a word', async () => {
  const { connect, clock, intake, events, finish } = await rig({}, { proxy })
  const silent = await connect('10.0.0.9')
  await silent.says(HEADER.slice(0, 9))
  await clock.advance(4_999)
  expect(silent.closed).toBe(false)
  await clock.advance(1)
  expect(await silent.heard()).toBe('')
  expect(silent.closed).toBe(true)
  const wrong = await connect('10.0.0.9')
  expect(await wrong.says(HELLO)).toBe('')
  expect(wrong.closed).toBe(true)
  expect(intake.clients).toEqual([])
  expect(events.of('connection.refused').map((event) => event.reason)).toEqual([
    'no PROXY header in time',
    'no PROXY header',
  ])
  await finish()
})

test('a proxy may vanish, and the server stop, before the header is there', async () => {
  const { connect, finish } = await rig({}, { proxy })
  const gone = await connect('10.0.0.9')
  await gone.says('PROXY ')
  gone.wire.destroy()
  await settle()
  await (await connect('10.0.0.9')).says('PROXY ')
  await finish()
})

test('the check of the proxy itself is a session of the proxy', async () => {
  const { connect, intake, finish } = await rig({}, { proxy })
  const client = await connect('10.0.0.9')
  expect(await client.says(Buffer.from('0d0a0d0a000d0a515549540a20000000', 'hex'))).toContain('220')
  expect(intake.clients[0]).toMatchObject({ client: { address: '10.0.0.9' }, via: undefined })
  await finish()
})

test('limits per address count the clients, not the proxy', async () => {
  const { connect, finish } = await rig({}, { proxy, maxConnectionsPerAddress: 1 })
  const first = await connect('10.0.0.9')
  expect(await first.says(HEADER)).toContain('220')
  const other = await connect('10.0.0.9')
  expect(await other.says(HEADER.replace('192.0.2.7', '192.0.2.8'))).toContain('220')
  const again = await connect('10.0.0.9')
  expect(await again.says(HEADER)).toContain('421 4.7.0')
  first.wire.destroy()
  await settle()
  expect(await (await connect('10.0.0.9')).says(HEADER)).toContain('220')
  await finish()
})

test('the handshake of implicit TLS follows the header', async () => {
  const { connect, intake, finish } = await rig({}, { proxy, tls: { ...certificate, mode: 'implicit' } })
  const plain = await connect('10.0.0.9')
  await plain.says(HEADER)
  const client = await plain.secure()
  expect(await client.heard()).toBe('220 mx.example.org ESMTP\r\n')
  expect(intake.clients[0]).toMatchObject({ client: { address: '192.0.2.7' }, tls: { protocol: 'TLSv1.3' } })
  await finish()
})

test('a unix socket counts as this host only where somebody said so', async () => {
  const unix = await rig({}, { path: '/run/mail.sock', unixPeers: 'loopback', protocol: 'lmtp' })
  expect(unix.listener.url).toBe('lmtp+unix:///run/mail.sock')
  expect(await (await unix.connect()).heard()).toContain('220')
  expect(unix.intake.clients[0]).toMatchObject({ client: { address: '127.0.0.1', port: 0 } })
  await unix.finish()

  const behind = await rig({}, { path: '/run/mail.sock', proxy: { from: ['unix'] } })
  expect(await (await behind.connect()).says(HEADER)).toContain('220')
  const itself = await behind.connect()
  expect(await itself.says('PROXY UNKNOWN\r\n')).toBe('')
  expect(itself.closed).toBe(true)
  expect(behind.intake.clients).toMatchObject([{ client: { address: '192.0.2.7' } }])
  await behind.finish()
})

test.each([
  { path: '/run/mail.sock' },
  { path: 'mail.sock', unixPeers: 'loopback' },
  { path: '/run/mail.sock', port: 25, unixPeers: 'loopback' },
  { path: '/run/mail.sock', mode: 0o1777, unixPeers: 'loopback' },
  {},
  { fd: -1 },
  { port: 25, proxy: { from: ['10.0.0.0/33'] } },
  { port: 25, proxy: { from: ['proxy.example.org'] } },
  { port: 25, proxy: { from: ['10.0.0.0/8/8'] } },
  { port: 25, proxy: { from: ['10.0.0.0/'] } },
] as const)('where to listen and whom to trust must make sense: %j', (options) => {
  const make = (): unknown => smtpListener({ intake: scriptedIntake(), ...options })
  expect(make).toThrow(expect.toSatisfy((error: unknown) => hasCode(error, 'ERR_MAILWRIGHT_CONFIG')))
})
