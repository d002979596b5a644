import { type Reply, reply } from '@mailwright/core'
import { settle } from '@mailwright/testing'
import { expect, test } from 'vitest'
import { ENVELOPE, HELLO, rig } from './test-support/rig.ts'

const never = { signal: new AbortController().signal }

test('replies to pipelined commands leave in one write, a single reply in one too', async () => {
  const { greeted, writes, finish } = await rig()
  const client = await greeted()
  const before = writes()
  await client.says(`${ENVELOPE}RCPT TO:<eve@example.org>\r\nDATA\r\n`)
  expect(writes() - before).toBe(1)
  await client.says('hello\r\n.\r\n')
  expect(writes() - before).toBe(2)
  await finish()
})

test('replies to pipelined commands leave in one write although the answers took their time', async () => {
  const { greeted, writes, finish } = await rig({
    mail: async () => reply(250, '2.1.0', 'ok'),
    rcpt: async () => reply(250, '2.1.5', 'ok'),
  })
  const client = await greeted()
  const before = writes()
  await client.says(`${ENVELOPE}DATA\r\n`)
  expect(writes() - before).toBe(1)
  await finish()
})

test('a client that speaks before the greeting is refused', async () => {
  const greeting = Promise.withResolvers<Reply>()
  const { connect, intake, finish } = await rig({ greet: () => greeting.promise })
  const client = await connect()
  expect(await client.says(HELLO)).toBe('554 5.5.1 Protocol error: you spoke before the greeting\r\n')
  expect(client.closed).toBe(true)
  greeting.resolve(reply(220, '2.0.0', 'mx.example.org'))
  expect(await client.heard()).toBe('')
  expect(intake.calls).toEqual(['refused connect 554'])
  await finish()
})

test('a greeting that takes its time is sent when it is there', async () => {
  const greeting = Promise.withResolvers<Reply>()
  const { connect, finish } = await rig({ greet: () => greeting.promise })
  const client = await connect()
  expect(await client.heard()).toBe('')
  greeting.resolve(reply(220, '2.0.0', 'mx.example.org'))
  expect(await client.heard()).toBe('220 mx.example.org\r\n')
  expect(await client.says('NOOP\r\n')).toBe('250 2.0.0 OK\r\n')
  await finish()
})

test('a line that is too long is refused, one without end cut off', async () => {
  const { greeted, finish } = await rig()
  const client = await greeted()
  expect(await client.says(`NOOP ${'x'.repeat(2_041)}\r\n`)).toBe('250 2.0.0 OK\r\n')
  expect(await client.says(`NOOP ${'x'.repeat(2_042)}\r\nNOOP\r\n`)).toBe('500 5.5.6 Line too long\r\n250 2.0.0 OK\r\n')
  for (let piece = 0; piece < 30; piece++) client.wire.write('y'.repeat(1_000))
  expect(await client.says('\r\nNOOP\r\n')).toBe('500 5.5.6 Line too long\r\n250 2.0.0 OK\r\n')
  for (let piece = 0; piece < 70; piece++) client.wire.write('z'.repeat(1_000))
  expect(await client.heard()).toBe('421 4.7.0 Line too long, closing transmission channel\r\n')
  expect(client.closed).toBe(true)
  await finish()
})

test('a bare LF does not end a command, and a client that goes on is cut off', async () => {
  const { greeted, intake, finish } = await rig()
  const client = await greeted()
  expect(await client.says('MAIL FROM:<ann@example.net>\nNOOP\r\n')).toBe(
    '500 5.5.2 bare <LF> received\r\n250 2.0.0 OK\r\n',
  )
  expect(await client.says('\n\n\n')).toBe(
    '500 5.5.2 bare <LF> received\r\n500 5.5.2 bare <LF> received\r\n421 4.7.0 bare <LF> received, closing transmission channel\r\n',
  )
  expect(intake.mails).toEqual([])
  await finish()
})

test.each([
  ['NUL', 'NOOP \0\r\n'],
  ['a bare CR', 'NOOP\rQUIT\r\n'],
  ['bytes that are no UTF-8', Buffer.from('4e4f4f5020ff0d0a', 'hex')],
  ['an escape', 'NOOP \x1b[2J\r\n'],
])('a command with %s is refused', async (_name, bytes) => {
  const { greeted, finish } = await rig()
  const client = await greeted()
  expect(await client.says(bytes)).toBe('500 5.5.2 Command holds characters that do not belong there\r\n')
  await finish()
})

const SESSION = `${HELLO}${ENVELOPE}DATA\r\nSubject: x\r\n\r\nhi\r\n.\r\nQUIT\r\n`

test('a client may vanish at every byte of a dialogue, in any way', async () => {
  const world = await rig()
  for (let length = 0; length <= SESSION.length; length++) {
    for (const leave of ['end', 'destroy', 'resetAndDestroy'] as const) {
      const client = await world.connect()
      if (length > 0) client.wire.write(SESSION.slice(0, length))
      if (leave !== 'end') await settle()
      const wire = client.wire as unknown as Record<typeof leave, () => void>
      wire[leave]()
    }
  }
  await settle()
  expect(world.listener.connections).toBe(0)
  const whole = 3 * ('\r\nQUIT\r\n'.length - 1)
  expect(world.intake.messages).toHaveLength(whole)
  expect(world.intake.calls.filter((call) => call === 'data')).toHaveLength(
    whole + world.intake.calls.filter((call) => call === 'abort').length,
  )
  expect(world.events.of('failure')).toEqual([])
  await world.finish()
})

test('a client that has said everything and closed its side is still answered', async () => {
  const { connect, intake, finish } = await rig()
  const client = await connect()
  await client.heard()
  client.wire.end(`${HELLO}${ENVELOPE}DATA\r\nhi\r\n.\r\n`)
  await client.heard()
  expect(intake.messages).toEqual(['hi\r\n'])
  await finish()
})

test('a client that does not read replies is not listened to', async () => {
  const { connect, clock, listener, finish } = await rig({}, { softErrorLimit: 1_000_000, hardErrorLimit: 1_000_000 })
  const client = await connect()
  await client.heard()
  client.wire.pause()
  let sent = 0
  while (client.wire.write('BOGUS\r\n'.repeat(2_000)) && sent < 400) {
    sent++
    await settle()
  }
  expect(sent).toBeLessThan(40)
  client.wire.resume()
  await client.heard()
  client.wire.pause()
  while (client.wire.write('BOGUS\r\n'.repeat(2_000))) await settle()
  // It never reads again: cut off after the time-out and the time to linger.
  await clock.advance('6m')
  expect(listener.connections).toBe(0)
  client.wire.destroy()
  await finish()
})

test.each([
  ['before EHLO', '', 300],
  ['between transactions', HELLO, 300],
  ['within a transaction', HELLO + ENVELOPE, 300],
  ['within the data', `${HELLO}${ENVELOPE}DATA\r\nSubject`, 180],
])('a client that falls silent %s is cut off', async (_name, input, seconds) => {
  const { connect, clock, intake, finish } = await rig()
  const client = await connect()
  await client.heard()
  if (input !== '') await client.says(input)
  await clock.advance(seconds * 1_000 - 1)
  expect(await client.heard()).toBe('')
  await clock.advance(1)
  expect(await client.heard()).toBe('421 4.4.2 Timeout, closing transmission channel\r\n')
  expect(client.closed).toBe(true)
  expect(intake.calls.includes('abort')).toBe(input.includes('DATA'))
  await finish()
})

test('each command has its own time, and bytes that make no command buy none', async () => {
  const { greeted, clock, finish } = await rig({}, { idleTimeout: '100s' })
  const client = await greeted()
  await clock.advance('90s')
  expect(await client.says('NOOP\r\n')).toContain('250')
  await clock.advance('90s')
  expect(await client.says('NOO')).toBe('')
  await clock.advance('10s')
  expect(await client.heard()).toContain('421 4.4.2')
  await finish()
})

test('a message that trickles in has the time of a transaction, and no more', async () => {
  const { greeted, clock, intake, finish } = await rig()
  const client = await greeted()
  await client.says(`${ENVELOPE}DATA\r\n`)
  for (let minute = 0; minute < 29; minute++) {
    await clock.advance('1m')
    expect(await client.says('x')).toBe('')
  }
  await clock.advance('1m')
  expect(await client.heard()).toContain('421 4.4.2')
  expect(intake.calls).toContain('abort')
  await finish()
})

test('nobody is cut off while the answer is ours to give', async () => {
  const stored = Promise.withResolvers<readonly Reply[]>()
  const { greeted, clock, finish } = await rig({ end: () => stored.promise }, { sessionTimeout: '1h' })
  const client = await greeted()
  await client.says(`${ENVELOPE}DATA\r\n`)
  await client.says('hi\r\n.\r\n')
  await clock.advance('2h')
  expect(await client.heard()).toBe('')
  stored.resolve([reply(250, '2.0.0', 'durable')])
  expect(await client.heard()).toBe('250 2.0.0 durable\r\n')
  await clock.advance(1)
  expect(await client.heard()).toContain('421 4.4.2')
  await finish()
})

test('a busy session keeps one timer', async () => {
  const { greeted, clock, finish } = await rig()
  const client = await greeted()
  for (let message = 0; message < 5; message++) {
    await client.says(`${ENVELOPE}DATA\r\n`)
    await client.says('hi\r\n.\r\n')
    expect(clock.pending).toBe(1)
  }
  await finish()
})

test('a client that does not close its side after QUIT is cut off', async () => {
  const { greeted, clock, listener, net, finish } = await rig()
  const client = await greeted()
  Object.assign(client.wire, { allowHalfOpen: true })
  await client.says('QUIT\r\n')
  expect(listener.connections).toBe(1)
  await clock.advance('5s')
  expect(listener.connections).toBe(0)
  client.wire.destroy()
  await settle()
  expect(net.open).toBe(0)
  await finish()
})

test('connections over the limit are told so and closed', async () => {
  const { connect, events, listener, finish } = await rig({}, { maxConnections: 2 })
  const first = await connect()
  await connect()
  const third = await connect()
  expect(await third.heard()).toBe('421 4.7.0 Too many connections, please try again later\r\n')
  expect(third.closed).toBe(true)
  expect(events.of('connection.refused')).toMatchObject([{ reason: 'too many connections', reply: { code: 421 } }])
  expect(listener.connections).toBe(2)
  await first.says('QUIT\r\n')
  expect(await (await connect()).heard()).toContain('220')
  await finish()
})

test('one address may not take all connections, loopback may', async () => {
  const { connect, events, finish } = await rig({}, { maxConnectionsPerAddress: 1 })
  await connect('192.0.2.7')
  expect(await (await connect('::ffff:192.0.2.7')).heard()).toContain('421 4.7.0')
  expect(await (await connect('192.0.2.8')).heard()).toContain('220')
  await connect('127.0.0.1')
  expect(await (await connect('127.0.0.1')).heard()).toContain('220')
  expect(events.of('connection.refused')).toMatchObject([
    { client: { address: '192.0.2.7' }, reason: 'too many connections from this address' },
  ])
  await finish()
})

test('draining: who is idle is told at once, who is in a transaction may finish it', async () => {
  const { connect, greeted, listener, finish, net } = await rig()
  const fresh = await connect()
  await fresh.heard()
  const idle = await greeted()
  const typing = await greeted()
  await typing.says('NOO')
  const busy = await greeted()
  await busy.says(ENVELOPE)
  let drained = false
  const draining = listener.drain(never).then(() => {
    drained = true
  })
  for (const client of [fresh, idle]) {
    expect(await client.heard()).toBe('421 4.3.2 Service not available, closing transmission channel\r\n')
  }
  expect(net.listening).toBe(0)
  expect(await typing.says('P\r\n')).toContain('421 4.3.2')
  expect(await busy.says('RCPT TO:<eve@example.org>\r\nDATA\r\n')).toContain('354')
  expect(drained).toBe(false)
  expect(await busy.says('hi\r\n.\r\n')).toBe(
    '250 2.0.0 queued\r\n421 4.3.2 Service not available, closing transmission channel\r\n',
  )
  await draining
  await finish()
})

test('draining ends when the grace time does, and stop cuts off what is left', async () => {
  const { greeted, listener, intake, finish } = await rig()
  const client = await greeted()
  await client.says(`${ENVELOPE}DATA\r\nhalf`)
  const grace = new AbortController()
  const draining = listener.drain({ signal: grace.signal })
  await settle()
  grace.abort()
  await draining
  expect(listener.connections).toBe(1)
  await listener.stop()
  expect(intake.calls).toContain('abort')
  await finish()
})

test('the handle knows its address, and only once it has one', async () => {
  const { listener, events, finish } = await rig()
  expect(listener.url).toBe(`smtp://127.0.0.1:${listener.address.port}`)
  expect(events.of('listener.ready')).toMatchObject([{ url: listener.url }])
  await finish()
})

test('a wire that does not know its client is dropped: nobody is taken for loopback', async () => {
  const { connect, intake, finish } = await rig({}, {}, (wire) => {
    Object.defineProperty(wire, 'remoteAddress', { value: undefined })
  })
  const client = await connect()
  expect(await client.heard()).toBe('')
  expect(client.closed).toBe(true)
  expect(intake.clients).toEqual([])
  await finish()
})
