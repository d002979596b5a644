import type { EventOf } from '@mailwright/core'
import { expect, it } from 'vitest'
import { redisStore } from './redis-store.ts'
import {
  CALL,
  claimAll,
  contentOf,
  deferred,
  type EventLog,
  eventLog,
  LANE,
  letter,
  message,
  openedStore,
  relayed,
} from './testing-support/mail.ts'
import { redisServer, withServer } from './testing-support/redis-server.ts'

const DURABLE = { appendonly: 'yes', appendfsync: 'always' }

function problems({ log }: EventLog): readonly string[] {
  return log
    .filter((event): event is EventOf<'store.unsafe'> => event.type === 'store.unsafe')
    .map(({ problem }) => problem)
}

withServer('a server that syncs before it answers, killed and started again', () => {
  it('has every message that was acknowledged, as it was', async () => {
    const server = await redisServer({ settings: DURABLE })
    const { store } = await openedStore(server.path)
    const ids = Array.from({ length: 60 }, (_, index) => `m${index + 10}`)
    const acknowledged: string[] = []
    const puts = ids.map(async (id, index) => {
      const body = index % 10 === 0 ? Buffer.alloc(400_000, id) : `body of ${id}\r\n`
      await store.put(message(id), letter(body), undefined, CALL)
      acknowledged.push(id)
      if (acknowledged.length === 30) await server.kill()
    })
    await Promise.allSettled(puts)
    expect(acknowledged.length).toBeGreaterThanOrEqual(30)
    await server.start()
    const { store: next } = await openedStore(server.path)
    const there = new Map((await next.entries({ limit: 100 })).map((entry) => [entry.message, entry]))
    for (const id of acknowledged) {
      expect(there.has(id), id).toBe(true)
      const body = (await contentOf((await next.read(id))!)).subarray(17).toString()
      expect(body.startsWith(body.length > 1_000 ? id : `body of ${id}`), id).toBe(true)
    }
  })

  it('has leases, deferrals, holds, suspensions and counters as they were', async () => {
    const server = await redisServer({ settings: DURABLE })
    const { store } = await openedStore(server.path)
    for (const id of ['a1', 'a2', 'a3']) await store.put(message(id), letter(), undefined, CALL)
    const [one, two] = await claimAll(store)
    await store.settle(one!, deferred(one!, 5))
    await store.hold({ messages: ['a3'] }, 'operator')
    await store.suspend({ scope: { kind: 'lane', lane: LANE }, reason: 'busy', since: 1 })
    const before = [await store.entries({ limit: 9 }), await store.stats(), await store.suspensions()]
    await server.kill()
    await server.start()
    await expect.poll(() => store.refusing(), { timeout: 10_000 }).toBeNull()
    expect([await store.entries({ limit: 9 }), await store.stats(), await store.suspensions()]).toEqual(before)
    expect(await store.settle(two!, relayed(two!))).toBe('nothing')
  })
})

withServer('what a server is set up for', () => {
  it('is nothing to talk about when it is safe', async () => {
    const { path } = await redisServer({ settings: DURABLE })
    expect(problems((await openedStore(path)).events)).toEqual([])
  })

  it('is told of when it may lose mail, and the mail is taken all the same', async () => {
    const { path } = await redisServer({ settings: { 'maxmemory-policy': 'allkeys-lru' } })
    const { store, events } = await openedStore(path)
    expect(problems(events)).toEqual([
      'appendonly is not yes: a crash of the server loses the queue',
      'maxmemory-policy is allkeys-lru, not noeviction: the server may throw mail away',
    ])
    expect(events.log).toContainEqual(expect.objectContaining({ type: 'store.unsafe', store: '{mailwright:edge}' }))
    await store.put(message('a1'), letter(), undefined, CALL)
  })

  it('may be less where its host says that less will do', async () => {
    const { path } = await redisServer({ settings: { appendonly: 'yes', appendfsync: 'everysec' } })
    expect(problems((await openedStore(path)).events)).toEqual([
      'appendfsync is everysec, not always: a crash of the machine loses the last mail',
    ])
    expect(problems((await openedStore(path, { durability: 'everysec' })).events)).toEqual([])
  })

  it('may be unsafe at times, or always', async () => {
    const atTimes = await redisServer({ settings: { ...DURABLE, 'no-appendfsync-on-rewrite': 'yes' } })
    expect(problems((await openedStore(atTimes.path)).events)).toEqual([
      'no-appendfsync-on-rewrite is yes: a crash of the machine may lose mail while the file is rewritten',
    ])
    const never = await redisServer({ settings: { appendonly: 'yes', appendfsync: 'no' } })
    expect(problems((await openedStore(never.path, { durability: 'everysec' })).events)).toEqual([
      'appendfsync is no: a crash of the machine loses mail',
    ])
  })

  it('may be hidden: that is told, and no reason not to begin', async () => {
    const { path } = await redisServer({ settings: { ...DURABLE, 'rename-command': ['CONFIG', ''] } })
    const { store, events } = await openedStore(path)
    expect(problems(events)).toEqual([
      'the server does not let CONFIG GET be used: whether mail survives a crash cannot be told',
    ])
    await store.put(message('a1'), letter(), undefined, CALL)
  })

  it('is looked at again after an outage, and told of once', async () => {
    const server = await redisServer()
    const { store, events } = await openedStore(server.path)
    await server.kill()
    await expect.poll(() => store.refusing()).not.toBeNull()
    await server.start()
    await expect.poll(() => store.refusing(), { timeout: 10_000 }).toBeNull()
    await store.stats()
    expect(problems(events)).toHaveLength(1)
  })
})

withServer('a queue', () => {
  it('that was written otherwise is left alone', async () => {
    const { path } = await redisServer()
    const { Redis } = await import('ioredis')
    const client = new Redis({ path })
    await client.hset('{mailwright:edge}:totals', 'format', '2')
    client.disconnect()
    const store = redisStore({ connection: { path }, name: 'edge' })
    await expect(store.open(eventLog())).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_STORE' })
  })

  it('sets aside what cannot be read, says so, and goes on', async () => {
    const { path } = await redisServer()
    const { store, events } = await openedStore(path)
    for (const id of ['a1', 'a2', 'a3', 'a4']) await store.put(message(id), letter(), undefined, CALL)
    const { Redis } = await import('ioredis')
    const client = new Redis({ path })
    await client.hset('{mailwright:edge}:m:a1', 'r0', '[{"id":')
    await client.hset('{mailwright:edge}:m:a3', 'f', 'nothing')
    expect((await store.entries({ limit: 1, after: { message: 'a1', entry: 0 } })).map((each) => each.message)).toEqual(
      ['a2'],
    )
    expect((await claimAll(store)).map((claim) => claim.entry.message)).toEqual(['a2', 'a4'])
    await expect.poll(async () => (await store.stats()).messages).toBe(2)
    expect((await store.entries({ limit: 9 })).map((entry) => entry.message)).toEqual(['a2', 'a4'])
    expect(await store.stats()).toMatchObject({ entries: 2, claimed: 2, bytes: 48, lanes: 1 })
    const told = events.log.filter((event): event is EventOf<'store.corrupt'> => event.type === 'store.corrupt')
    expect(told.map((event) => event.message)).toEqual(['a1', 'a3'])
    expect(await client.hget('{mailwright:edge}:corrupt:a1', 'b')).toBe('Hello\r\n')
    client.disconnect()
    const next = await openedStore(path)
    expect(next.events.log).toContainEqual({ type: 'store.recovered', messages: 2, strays: 0, corrupt: 2 })
  })

  it('of another name is another queue', async () => {
    const { path } = await redisServer()
    const one = (await openedStore(path)).store
    const other = (await openedStore(path, { name: 'inner' })).store
    await one.put(message('a1'), letter(), undefined, CALL)
    expect(await other.stats()).toMatchObject({ messages: 0 })
    await other.put(message('a1'), letter('other'), undefined, CALL)
    await other.remove({})
    expect(await one.stats()).toMatchObject({ messages: 1, entries: 1 })
  })

  it('leaves nothing behind but its totals when it is empty and its nodes have left', async () => {
    const { path } = await redisServer()
    const { store } = await openedStore(path)
    for (const id of ['a1', 'a2']) await store.put(message(id), letter(Buffer.alloc(300_000)), undefined, CALL)
    for (const claim of await claimAll(store)) await store.settle(claim, relayed(claim))
    await store.close()
    const { Redis } = await import('ioredis')
    const client = new Redis({ path })
    const keys = await client.keys('*')
    client.disconnect()
    expect(keys).toEqual(['{mailwright:edge}:totals'])
  })

  it('is not opened twice, takes no names that are none, and wants to be told where it is', async () => {
    const { path } = await redisServer()
    const { store } = await openedStore(path)
    await expect(store.open(eventLog())).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_STORE_BUSY' })
    const CONFIG = expect.objectContaining({ code: 'ERR_MAILWRIGHT_CONFIG' })
    expect(() => redisStore({ url: 'redis://localhost', name: 'a b' })).toThrow(CONFIG)
    expect(() => redisStore({ url: 'redis://localhost', name: 'a', inlineLimit: -1 })).toThrow(CONFIG)
    await expect(redisStore({ name: 'a' }).open(eventLog())).rejects.toEqual(CONFIG)
    for (const bad of [message('a/b'), message(''), message('a1', ''), message('a1', LANE, Number.NaN)])
      await expect(store.put(bad, letter(), undefined, CALL)).rejects.toEqual(CONFIG)
  })
})
