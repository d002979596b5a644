/** Stress: too many connections, or too many messages in transit. */
import { reply } from '@mailwright/core'
import { expect, test } from 'vitest'
import { ENVELOPE, HELLO, rig } from './test-support/rig.ts'

test('over four fifths of all connections clients have ten seconds and one error; well below it, as before', async () => {
  const { connect, clock, listener, finish } = await rig({}, { maxConnections: 10 })
  const clients = []
  for (let count = 0; count < 8; count++) clients.push(await connect())
  for (const client of clients) await client.says(HELLO)
  expect(listener.stressed).toBe(false)
  const last = await connect()
  expect(listener.stressed).toBe(true)
  expect(await last.says('BOGUS\r\n')).toMatch(/^220.*\r\n500 .*\r\n421 4\.7\.0 Too many errors/)
  await clients[0]!.says('QUIT\r\n')
  expect(listener.stressed).toBe(false)
  await clock.advance('6s')
  const late = [await connect(), await connect()]
  expect(listener.stressed).toBe(true)
  await clock.advance('9s')
  for (const client of [...clients.slice(1), ...late]) expect(await client.heard()).not.toContain('421')
  // Cut off are as many as it takes.
  await clock.advance('1s')
  for (const client of late) expect(await client.heard()).toContain('421 4.4.2')
  expect(listener.stressed).toBe(false)
  await clock.advance('4m')
  expect(listener.connections).toBe(7)
  await clock.advance('1m')
  expect(listener.connections).toBe(0)
  await finish()
})

test('a client we owe an answer is not hurried', async () => {
  const answer = Promise.withResolvers<ReturnType<typeof reply>>()
  const { connect, clock, listener, finish } = await rig({ helo: () => answer.promise }, { maxConnections: 1 })
  const client = await connect()
  expect(listener.stressed).toBe(true)
  await client.says(HELLO)
  await clock.advance('1m')
  answer.resolve(reply(250, '2.0.0', 'mx.example.org'))
  expect(await client.heard()).toContain('250')
  await finish()
})

test('messages beyond the memory wait, the oldest comes through, then the others; slow ones are cut', async () => {
  const { greeted, clock, listener, intake, finish } = await rig({}, { memoryBudget: 100_000 })
  const clients = []
  for (let count = 0; count < 3; count++) {
    const client = await greeted()
    expect(await client.says(`${ENVELOPE}DATA\r\n`)).toContain('354')
    clients.push(client)
  }
  const letter = `${'x'.repeat(998)}\r\n`.repeat(300)
  for (const { wire } of clients) wire.write(letter)
  await clock.settle()
  expect(listener.stressed).toBe(true)
  for (const client of clients.slice(0, 2)) expect(await client.says('.\r\n')).toContain('250 2.0.0 queued')
  expect(intake.messages.slice(0, 2)).toEqual([letter, letter])
  await clock.advance('11s')
  expect(await clients[2]!.heard()).toContain('421')
  expect(listener.stressed).toBe(false)
  await finish()
})

test('a sender we make wait is not too slow, stress or not', async () => {
  const written = Promise.withResolvers<void>()
  const { greeted, connect, clock, listener, finish } = await rig(
    { write: () => written.promise },
    { maxConnections: 2 },
  )
  const client = await greeted()
  await client.says(`${ENVELOPE}DATA\r\n`)
  await client.says('hello\r\n')
  await connect()
  await clock.settle()
  expect(listener.stressed).toBe(true)
  await clock.advance('8s')
  written.resolve()
  await clock.advance('9s')
  expect(await client.says('.\r\n')).toContain('250 2.0.0 queued')
  await finish()
})

test('what a client that is gone had sent ahead takes no memory any more', async () => {
  const never = new Promise<never>(() => {})
  const { greeted, listener, finish } = await rig(
    { mail: (command) => (command.sender?.local === 'stuck' ? never : reply(250, '2.1.0', 'ok')) },
    { memoryBudget: 40_000 },
  )
  const stuck = await greeted()
  await stuck.says(`MAIL FROM:<stuck@example.net>\r\n`)
  await stuck.says('NOOP\r\n'.repeat(5_000))
  stuck.wire.destroy()
  const [slow, quick] = [await greeted(), await greeted()]
  for (const client of [slow, quick]) {
    await client.says(`${ENVELOPE}DATA\r\n`)
    await client.says(`${'x'.repeat(998)}\r\n`.repeat(6))
  }
  expect(listener.stressed).toBe(false)
  expect(await quick.says('.\r\n')).toContain('250 2.0.0 queued')
  await finish()
})
