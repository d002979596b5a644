/** Over a real socket on loopback, to see what memory cannot show; and what is refused before anything starts. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { duplexPair } from 'node:stream'
import { hasCode, type Listening, type ListenTarget, type Network, type Wire } from '@mailwright/core'
import { manualClock, recordedEvents, testAuthority, testEnvironment, testScope } from '@mailwright/testing'
import { expect, test } from 'vitest'
import { type ListenerTls, type SmtpListenerOptions, smtpListener } from './index.ts'
import type { Rig } from './test-support/rig.ts'
import { type ScriptedIntake, scriptedIntake } from './test-support/scripted-intake.ts'

const never = { signal: new AbortController().signal }

test.each([
  { port: -1 },
  { port: 70_000 },
  { port: 25, maxConnections: 0 },
  { port: 25, idleTimeout: 'soon' as never },
])('options that cannot work are refused at once: %j', (options) => {
  const make = (): unknown => smtpListener({ intake: scriptedIntake(), ...options })
  expect(make).toThrow(expect.toSatisfy((error: unknown) => hasCode(error, 'ERR_MAILWRIGHT_CONFIG')))
})

test('before start there is no address', () => {
  const handle = smtpListener({ intake: scriptedIntake(), port: 0 }).create(testScope())
  expect(() => handle.address).toThrow(expect.toSatisfy((error: unknown) => hasCode(error, 'ERR_MAILWRIGHT_STOPPED')))
})

/** Just enough of a network to accept real connections. */
function loopback(): Network {
  return {
    ...testEnvironment().net,
    async listen(target: ListenTarget, accept: (wire: Wire) => void): Promise<Listening> {
      const server = createServer({ noDelay: true }, accept).listen(target)
      await once(server, 'listening')
      const { address, port } = server.address() as AddressInfo
      return {
        address: { host: address, port },
        close: () => new Promise((resolve) => server.close(() => resolve())),
      }
    },
  }
}

async function realListener(
  tls?: ListenerTls,
  options: Partial<SmtpListenerOptions> = {},
): Promise<{ listener: Rig['listener']; intake: ScriptedIntake }> {
  const clock = manualClock()
  const environment = { ...testEnvironment({ clock }), net: loopback() }
  const intake = scriptedIntake()
  const listener = smtpListener({ intake, port: 0, ...(tls && { tls }), ...options }).create(
    testScope({ environment, events: recordedEvents(clock) }),
  ) as Rig['listener']
  await listener.start(never)
  return { listener, intake }
}

/** Reads until the text ends as wanted. */
function until(socket: Wire, end: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = ''
    const hear = (bytes: Buffer): void => {
      said += bytes.toString()
      if (!said.endsWith(end)) return
      socket.off('data', hear)
      socket.off('close', reject)
      resolve(said)
    }
    socket.on('data', hear)
    socket.on('close', reject)
  })
}

test('over a real socket a message of some megabytes, dots and all, arrives as it was sent', async () => {
  const { listener, intake } = await realListener()
  const client = connect(listener.address.port, listener.address.host)
  await until(client, 'ESMTP\r\n')
  client.write('EHLO client.example\r\nMAIL FROM:<ann@example.net>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n')
  await until(client, '354 End data with <CR><LF>.<CR><LF>\r\n')
  client.write(`${`..dots and ${'x'.repeat(60)}\r\n`.repeat(50_000)}.\r\nQUIT\r\n`)
  expect(await until(client, 'Bye\r\n')).toBe('250 2.0.0 queued\r\n221 2.0.0 Bye\r\n')
  expect(intake.messages[0]).toBe(`.dots and ${'x'.repeat(60)}\r\n`.repeat(50_000))
  expect(intake.clients[0]?.client).toEqual({ address: '127.0.0.1', port: expect.any(Number) })
  client.destroy()
  await listener.drain(never)
  await listener.stop()
  expect(intake.closed).toBe(1)
})

test('over a real socket STARTTLS works, and stop cuts the session off', async () => {
  const { listener, intake } = await realListener(testAuthority().issue({ names: ['mx.example.org'] }))
  const client = connect(listener.address.port, listener.address.host)
  await until(client, 'ESMTP\r\n')
  client.write('STARTTLS\r\n')
  await until(client, 'TLS\r\n')
  const { wire } = await testEnvironment().net.secure(client, { verify: false }, never)
  wire.write('NOOP\r\n')
  expect(await until(wire, '\r\n')).toBe('250 2.0.0 OK\r\n')
  const ended = once(wire, 'close')
  await listener.stop()
  await ended
  expect(listener.connections).toBe(0)
  expect(intake.closed).toBe(1)
})

test.each(['before the handshake', 'in one packet with it'] as const)(
  'over a real socket the header of a proxy comes before TLS, %s',
  async (form) => {
    const certificate = testAuthority().issue({ names: ['mx.example.org'] })
    const proxy = { from: ['127.0.0.0/8'] }
    const { listener, intake } = await realListener({ ...certificate, mode: 'implicit' }, { proxy })
    const socket = connect(listener.address.port, listener.address.host)
    await once(socket, 'connect')
    const header = Buffer.from('PROXY TCP4 192.0.2.7 198.51.100.1 40000 465\r\n')
    const [client, relay] = duplexPair()
    if (form === 'before the handshake') socket.write(header)
    relay.once('data', (hello: Buffer) => {
      socket.write(form === 'before the handshake' ? hello : Buffer.concat([header, hello]))
      relay.pipe(socket).pipe(relay)
    })
    const { wire } = await testEnvironment().net.secure(client, { verify: false }, never)
    expect(await until(wire, 'ESMTP\r\n')).toBe('220 mx.example.org ESMTP\r\n')
    wire.write('NOOP\r\n')
    expect(await until(wire, '\r\n')).toBe('250 2.0.0 OK\r\n')
    expect(intake.clients[0]).toMatchObject({ client: { address: '192.0.2.7' }, via: { address: '127.0.0.1' } })
    const ended = once(socket, 'close')
    await listener.stop()
    await ended
  },
)

test('over a real socket the handshake may not bring clear text with it: it is no command, and no part of the session', async () => {
  const { listener, intake } = await realListener(testAuthority().issue({ names: ['mx.example.org'] }))
  const client = connect(listener.address.port, listener.address.host)
  await until(client, 'ESMTP\r\n')
  client.write('STARTTLS\r\nEHLO injected.example\r\nMAIL FROM:<injected@example.net>\r\n')
  await until(client, 'TLS\r\n')
  const { wire } = await testEnvironment().net.secure(client, { verify: false }, never)
  wire.write('RCPT TO:<bob@example.org>\r\n')
  expect(await until(wire, '\r\n')).toContain('503 5.5.1')
  expect(intake.calls.filter((call) => /injected/.test(call))).toEqual([])
  await listener.stop()
})
