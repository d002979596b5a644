/** Clients that are slow, on purpose or not, on a clock that moves when the test says so. */
import { policy, sleep } from '@mailwright/core'
import { testAuthority } from '@mailwright/testing'
import { expect, test } from 'vitest'
import { ask, clientHello, ENVELOPE, greet, HELLO, stuffed, submit } from './speech.ts'
import { openWorld } from './world.ts'

test.each([
  ['before EHLO', '', '5m', '220 421'],
  ['after EHLO', HELLO, '5m', '220 250 421'],
  ['after MAIL', `${HELLO}MAIL FROM:<ann@example.net>\r\n`, '5m', '220 250 250 421'],
  ['before DATA', `${HELLO}${ENVELOPE}`, '5m', '220 250 250 250 421'],
  ['after DATA', `${HELLO}${ENVELOPE}DATA\r\n`, '3m', '220 250 250 250 354 421'],
  ['within the data', `${HELLO}${ENVELOPE}DATA\r\nSubject: x\r\n\r\nhal`, '3m', '220 250 250 250 354 421'],
] as const)('a client that falls silent %s is told so and cut off', async (_where, said, after, codes) => {
  const world = await openWorld()
  const client = await world.target.connect()
  await client.reply()
  client.send(said)
  await world.clock.settle()
  await world.clock.advance(after)
  expect(client.codes).toBe(codes)
  expect(client.said).toContain('421 4.4.2 ')
  expect(client.over).toBe(true)
  expect(world.target.listener.connections).toBe(0)
  await world.close()
})

test('a command that comes byte by byte and never ends buys no time', async () => {
  const world = await openWorld()
  const client = await world.target.connect()
  await greet(client)
  for (let seconds = 0; seconds < 300; seconds += 10) {
    expect(client.over).toBe(false)
    client.send('N')
    await world.clock.advance('10s')
  }
  expect(client.codes).toBe('220 250 421')
  await world.close()
})

test.each(['starttls', 'implicit'] as const)('a handshake that stalls is cut off, with %s TLS', async (mode) => {
  const certificate = testAuthority().issue({ names: ['mx.example.org'] })
  const world = await openWorld({ listener: { tls: { ...certificate, mode } } })
  const client = await world.target.connect()
  if (mode === 'starttls') {
    await greet(client)
    await ask(client, 'STARTTLS\r\n')
  }
  client.send(clientHello(world.scene.random).subarray(0, 100))
  await world.clock.advance('4m')
  expect(client.over).toBe(false)
  await world.clock.advance('1m')
  expect(client.over).toBe(true)
  expect(world.target.listener.connections).toBe(0)
  await world.close()
})

test('a client that drips its commands is borne, but not for ever', async () => {
  const world = await openWorld()
  const client = await world.target.connect()
  await greet(client)
  let commands = 0
  while (!client.over && commands < 1_000) {
    client.send('NOOP\r\n')
    commands++
    await world.clock.advance('4m')
  }
  // EHLO moves no mail either.
  expect(commands).toBe(100)
  await world.close()
})

test('a message that drips in is cut off after half an hour, and nothing of it is kept', async () => {
  const world = await openWorld()
  const client = await world.target.connect()
  await greet(client)
  await ask(client, `${ENVELOPE}DATA\r\n`)
  let minutes = 0
  for (; !client.over && minutes < 60; minutes++) {
    client.send('one more line\r\n')
    await world.clock.advance('1m')
  }
  expect(minutes).toBe(30)
  expect(client.codes).toBe('220 250 250 250 354 421')
  expect(await world.target.queue.stats()).toMatchObject({ messages: 0 })
  await world.close()
})

test('a client that reads no replies is not read from, and not waited for', async () => {
  const world = await openWorld({ listener: { errors: 'own' } })
  const client = await world.target.connect()
  await greet(client)
  await ask(client, 'MAIL FROM:<ann@example.net>\r\n')
  client.wire.pause()
  const block = 'RCPT TO:<x@nobody.example>\r\n'.repeat(500)
  let taken = 0
  let room = true
  for (; room && taken < 1_000; taken++) {
    room = false
    void client.pour(block).then(() => {
      room = true
    })
    await world.clock.settle()
  }
  expect(room).toBe(false)
  expect(taken).toBeLessThan(50)
  await world.clock.advance('10m')
  expect(world.target.listener.connections).toBe(0)
  client.leave('destroy')
  await world.close()
})

test('a client that does not close its side after QUIT is not waited for', async () => {
  const world = await openWorld()
  const client = await world.target.connect()
  await greet(client)
  client.wire.pause()
  client.send('QUIT\r\n')
  await world.clock.settle()
  await world.clock.advance('10s')
  expect(world.target.listener.connections).toBe(0)
  client.leave('destroy')
  await world.close()
})

test('who talks before the greeting is turned away; who waits is served', async () => {
  const pause = policy('pause', { connect: (call) => sleep(world.clock, 1_000, call.signal) })
  const world = await openWorld({ policies: [pause] })
  const early = await world.target.connect()
  early.send(HELLO)
  const patient = await world.target.connect()
  await world.clock.settle()
  expect(early.codes).toBe('554')
  expect(early.over).toBe(true)
  expect(patient.said).toBe('')
  await world.clock.advance('1s')
  await greet(patient)
  expect(await submit(patient, world.scene, world.target.ledger.write(500))).toBe(true)
  patient.leave('end')
  await world.close()
})

test('a policy that never answers is a temporary refusal, and a client that left meanwhile harms nobody', async () => {
  const mute = policy('mute', { mail: () => new Promise<never>(() => {}) })
  const world = await openWorld({ policies: [mute] })
  const [waiting, leaving] = [await world.target.connect(), await world.target.connect()]
  for (const client of [waiting, leaving]) {
    await greet(client)
    client.send(ENVELOPE)
  }
  await world.clock.settle()
  leaving.leave('reset')
  await world.clock.advance('31s')
  expect(waiting.codes).toBe('220 250 250 451')
  expect(leaving.codes).toBe('220 250')
  waiting.leave('end')
  await world.close()
})

test('one address gets fifty connections, the next is told to come later, others are served', async () => {
  const world = await openWorld()
  const clients = []
  for (let count = 0; count < 51; count++) clients.push(await world.target.connect())
  await world.clock.settle()
  expect(clients.slice(0, 50).every(({ codes }) => codes === '220')).toBe(true)
  expect(clients[50]!.said).toMatch(/^421 4\.7\.0 /)
  expect(clients[50]!.over).toBe(true)
  clients[7]!.leave('reset')
  await world.clock.settle()
  const next = await world.target.connect()
  await greet(next)
  expect(await submit(next, world.scene, world.target.ledger.write(100))).toBe(true)
  for (const client of [...clients, next]) client.leave('destroy')
  await world.clock.settle()
  expect(world.target.listener.connections).toBe(0)
  await world.close()
})

test('a server that stops does not wait for clients that stall, and keeps its promises', async () => {
  const world = await openWorld()
  const stalled = []
  for (const said of ['', 'EHL', HELLO, `${HELLO}${ENVELOPE}`, `${HELLO}${ENVELOPE}DATA\r\n`]) {
    const client = await world.target.connect()
    await client.reply()
    client.send(said)
    stalled.push(client)
  }
  const good = await world.target.connect()
  await greet(good)
  await ask(good, `${ENVELOPE}DATA\r\n`)
  const letter = world.target.ledger.write(300_000)
  const bytes = stuffed(letter)
  await good.pour(bytes.subarray(0, 200_000))
  const stopping = world.target.stop()
  await world.clock.settle()
  // It is in the middle of a message: it may finish it.
  await good.pour(bytes.subarray(200_000))
  expect(await good.reply()).toMatch(/^250 /)
  world.target.ledger.promise(letter)
  await world.clock.until(stopping, '1m')
  for (const client of stalled) expect(client.over).toBe(true)
  await world.close()
})
