/** Bad clients against a real server on real sockets, one offence at a time. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { lmdbStore } from '@mailwright/store-lmdb'
import { seededRandom, testAuthority } from '@mailwright/testing'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Guards, installGuards } from './guards.ts'
import { commit, OFFENCES } from './offences.ts'
import { ask, ENVELOPE, greet, HELLO, type Scene, stuffed, submit } from './speech.ts'
import { startTarget, type Target } from './target.ts'

let target: Target
let guards: Guards
let directory: string
let scene: Scene

beforeAll(async () => {
  guards = installGuards()
  directory = await mkdtemp(join(tmpdir(), 'mailwright-abuse-'))
  target = await startTarget({
    store: lmdbStore({ directory, mapSize: 2 ** 28 }),
    listener: { tls: testAuthority().issue({ names: ['mx.example.org'] }) },
  })
  scene = { random: seededRandom(7), ledger: target.ledger }
})

afterAll(async () => {
  await target.queueEmpty()
  await target.stop()
  await rm(directory, { recursive: true })
  guards.remove()
  expect(guards.caught).toEqual([])
  expect(target.failures).toEqual([])
  expect(target.ledger.missing()).toEqual([])
  expect(target.ledger.corrupt).toBe(0)
  expect(target.ledger.promised).toBeGreaterThan(0)
})

/** The server is there for the next client. */
async function stillServing(): Promise<void> {
  const client = await target.connect()
  await greet(client)
  expect(await submit(client, scene, target.ledger.write(2_000))).toBe(true)
  await ask(client, 'QUIT\r\n')
  await client.ended()
  while (target.listener.connections > 0) await new Promise((resolve) => setImmediate(resolve))
}

test.each(OFFENCES)('$name: a proper reply or a clean close, and the next client is served', async (offence) => {
  const client = await target.connect()
  expect(await commit(offence, client, scene)).toBeUndefined()
  expect(client.codes).toMatch(offence.answer)
  await stillServing()
})

test.each(['end', 'destroy', 'reset'] as const)('a client that vanishes at any byte, with %s', async (how) => {
  const length = `${HELLO}${ENVELOPE}DATA\r\n`.length + stuffed(target.ledger.write(100)).length + 'QUIT\r\n'.length
  for (let bytes = 0; bytes <= length; bytes++) {
    const letter = target.ledger.write(100)
    const session = `${HELLO}${ENVELOPE}DATA\r\n${stuffed(letter).toString()}QUIT\r\n`
    const client = await target.connect()
    await client.reply()
    client.send(session.slice(0, bytes))
    client.leave(how)
    await client.ended()
    if (client.codes.startsWith('220 250 250 250 354 250')) target.ledger.promise(letter)
    // Whoever is gone may have been told anything up to here, and nothing else.
    expect('220 250 250 250 354 250 221'.startsWith(client.codes)).toBe(true)
  }
  await stillServing()
})

test('fifty bad clients at once do not keep a good one from being served', async () => {
  const bad = Array.from({ length: 50 }, async (_, index) => {
    const offence = OFFENCES[index % OFFENCES.length]!
    const client = await target.connect()
    return commit(offence, client, { random: seededRandom(index), ledger: target.ledger })
  })
  const client = await target.connect()
  await greet(client)
  for (let count = 0; count < 10; count++) expect(await submit(client, scene, target.ledger.write(3_000))).toBe(true)
  client.leave('end')
  expect(await Promise.all(bad)).toEqual(bad.map(() => undefined))
  await stillServing()
})
