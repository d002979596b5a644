/** Two servers in one process share nothing, and when they have stopped nothing of them is left. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { MailEvent } from '@mailwright/core'
import { memoryStore } from '@mailwright/queue'
import { lmdbStore } from '@mailwright/store-lmdb'
import { dialogue, scriptedMx, testEnvironment } from '@mailwright/testing'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Place, place } from './server.ts'

const never = new AbortController().signal
let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mailwright-instances-'))
})

afterEach(() => rm(directory, { recursive: true }))

async function send({ mta, listener }: Place, recipient: string): Promise<void> {
  const client = dialogue(await mta.environment.net.connect(listener.address, { signal: never }))
  await client.expect(220)
  await client.command('EHLO client.example', 250)
  await client.mail('bob@client.example', [recipient], `Subject: to ${recipient}\r\n\r\nHello\r\n`)
  await client.command('QUIT', 221)
  await client.closed()
}

/** Everybody an event is about. */
function recipientsOf(events: readonly MailEvent[]): Set<string> {
  const all = events.flatMap((event) => {
    if (event.type === 'message.accepted') return event.recipients
    return event.type === 'recipient.settled' ? [event.recipient] : []
  })
  return new Set(all.map(({ original }) => `${original.local}@${original.domain}`))
}

test('the time of one server is not the time of the other', async () => {
  const worlds = await Promise.all(
    ['north', 'south'].map(async (name) => {
      const environment = testEnvironment()
      // The same address in each world: they are two networks.
      const host = '192.0.2.10'
      const mx = await scriptedMx({
        network: environment.net,
        host,
        script: [{ at: 'rcpt', times: 1, reply: '450 4.2.0 later' }],
      })
      const server = place({ name, environment, mail: directory, nextHop: `[${host}]:25`, store: memoryStore() })
      await server.mta.start()
      return { ...environment, mx, server }
    }),
  )
  const [north, south] = [worlds[0]!, worlds[1]!]
  expect(north.server.listener.address).toEqual(south.server.listener.address)
  for (const { server, clock } of worlds) {
    await send(server, 'cleo@elsewhere.example')
    await clock.settle()
  }
  await north.clock.advance('10m')
  expect(north.mx.messages).toHaveLength(1)
  expect(south.mx.messages).toHaveLength(0)
  expect(await south.server.queue.stats()).toMatchObject({ messages: 1 })
  await north.clock.until(north.server.mta.stop())
  // What the first has left behind is nothing to the second.
  await south.clock.advance('10m')
  expect(south.mx.messages).toHaveLength(1)
  await south.clock.until(south.server.mta.stop())
  for (const { clock, net, mx } of worlds) {
    await mx.down()
    await clock.settle()
    expect(clock.pending).toBe(0)
    net.assertQuiet()
  }
})

test('two servers with spools, Maildirs and ports see only their own mail, and stop on their own', async () => {
  const servers = await Promise.all(
    ['north', 'south'].map(async (name) => {
      const mail = join(directory, name)
      await mkdir(mail)
      const store = lmdbStore({ directory: join(mail, 'spool'), mapSize: 2 ** 26 })
      const server = place({ name, mail, store, nextHop: '[127.0.0.1]:1' })
      await server.mta.start()
      return { name, mail, ...server }
    }),
  )
  const [north, south] = [servers[0]!, servers[1]!]
  await Promise.all(
    servers.flatMap((server) => Array.from({ length: 5 }, () => send(server, `ann@${server.name}.example`))),
  )
  const others = south.events.length
  await expect.poll(() => north.queue.stats()).toMatchObject({ messages: 0 })
  await expect.poll(() => south.queue.stats()).toMatchObject({ messages: 0 })
  await north.mta.stop()
  const heard = north.events.length
  // The other serves on.
  await send(south, 'ann@south.example')
  await expect.poll(() => south.queue.stats()).toMatchObject({ messages: 0 })
  expect(north.events.length).toBe(heard)
  expect(south.events.length).toBeGreaterThan(others)
  await south.mta.stop()

  expect(await readdir(join(north.mail, 'ann', 'new'))).toHaveLength(5)
  expect(await readdir(join(south.mail, 'ann', 'new'))).toHaveLength(6)
  for (const { name, mail, events } of servers) {
    expect(recipientsOf(events)).toEqual(new Set([`ann@${name}.example`]))
    expect(events.filter(({ type }) => type === 'failure')).toEqual([])
    expect((await readdir(mail)).toSorted()).toEqual(['ann', 'spool'])
  }
  // Timers and pipes are the test runner's as well; the program below has none.
  expect(process.getActiveResourcesInfo().filter((kind) => /TCP|TLS|FSEvent|Connect|Write/.test(kind))).toEqual([])
})

test('a spool that another server owns is refused, and the owner does not notice', async () => {
  const spool = join(directory, 'spool')
  const make = (name: string): Place =>
    place({ name, mail: directory, nextHop: '[127.0.0.1]:1', store: lmdbStore({ directory: spool, mapSize: 2 ** 26 }) })
  const [owner, other] = [make('north'), make('south')]
  await owner.mta.start()
  await expect(other.mta.start()).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_STORE_BUSY' })
  await send(owner, 'ann@north.example')
  await expect.poll(() => owner.queue.stats()).toMatchObject({ messages: 0 })
  await owner.mta.stop()
  const next = make('south')
  await next.mta.start()
  await next.mta.stop()
  expect(existsSync(join(directory, 'ann', 'new'))).toBe(true)
})

test('a program that has stopped its servers ends by itself', async () => {
  const program = fileURLToPath(new URL('./start-and-stop.ts', import.meta.url))
  // Rejects when the exit code is not 0, or when it has to be killed.
  const { stdout } = await promisify(execFile)(process.execPath, [program, directory], { timeout: 15_000 })
  expect(JSON.parse(stdout)).toEqual({ acknowledged: 4, failures: [], resources: [], files: [] })
})
