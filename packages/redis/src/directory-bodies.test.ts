import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { MessageSource } from '@mailwright/core'
import { storeConformance } from '@mailwright/testing'
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import { directoryBodies } from './directory-bodies.ts'
import { type RedisStore, redisStore } from './redis-store.ts'
import { CALL, claimAll, contentOf, deferred, letter, message, openedStore, relayed } from './testing-support/mail.ts'
import { redisServer, withServer } from './testing-support/redis-server.ts'
import { type LaunchedServer, launch } from './testing-support/server-process.ts'

const LARGE = Buffer.alloc(400_000, 'a large body. ')
const DAY_MS = 86_400_000

async function sharedDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'mailwright-bodies-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  return directory
}

async function files(directory: string): Promise<readonly string[]> {
  const items = await readdir(directory, { recursive: true, withFileTypes: true })
  return items
    .filter((item) => item.isFile() && item.name !== 'tmp-clock')
    .map((item) => join(item.parentPath, item.name))
}

async function spooled(store: RedisStore, body: Uint8Array): Promise<MessageSource> {
  const spool = store.spool()
  for (let at = 0; at < body.length; at += 50_000) await spool.write(body.subarray(at, at + 50_000))
  const finished = await spool.finish()
  const head = Buffer.from('Subject: test\r\n\r\n')
  return { head, size: head.length + finished.size, spooled: finished, body: (call) => finished.read(call) }
}

withServer('on a real server', () => {
  let server: LaunchedServer
  let folder: string
  let queues = 0
  beforeAll(async () => {
    server = await launch()
    folder = await mkdtemp(join(tmpdir(), 'mailwright-bodies-'))
  })
  afterAll(async () => {
    await server.dispose()
    await rm(folder, { recursive: true, force: true })
  })

  storeConformance({
    name: 'redisStore with bodies in a directory',
    histories: 5,
    create: async () => {
      queues += 1
      const name = `bodies-${queues}`
      const bodies = directoryBodies({ directory: join(folder, name) })
      const open = (): RedisStore =>
        redisStore({ connection: { path: server.path }, name, bodies, clock: 'caller', inlineLimit: 20 })
      return { store: open(), reopen: async () => open(), dispose: async () => {} }
    },
  })
})

withServer('large bodies in a directory that nodes share', () => {
  async function twoNodes() {
    const { path } = await redisServer()
    const directory = await sharedDirectory()
    const open = async (): Promise<RedisStore> =>
      (await openedStore(path, { bodies: directoryBodies({ directory }) })).store
    return { one: await open(), other: await open(), open, directory }
  }

  it('are read by whoever delivers, and go with their messages', async () => {
    const { one, other, directory } = await twoNodes()
    await one.put(message('a1'), await spooled(one, LARGE), undefined, CALL)
    await one.put(message('a2'), letter(LARGE), undefined, CALL)
    expect(await files(directory)).toHaveLength(2)
    const claims = await claimAll(other)
    for (const claim of claims) expect((await contentOf(claim.message)).subarray(17).equals(LARGE)).toBe(true)
    await other.settle(claims[0]!, relayed(claims[0]!))
    expect(await files(directory)).toHaveLength(1)
    await other.settle(claims[1]!, deferred(claims[1]!, 5))
    expect(await one.remove({})).toBe(1)
    expect(await files(directory)).toEqual([])
  })

  it('leave nothing behind when they come to no message', async () => {
    const { one, directory } = await twoNodes()
    const source = await spooled(one, LARGE)
    await source.spooled!.discard()
    const spool = one.spool()
    await spool.write(LARGE)
    await spool.abort()
    const failing: MessageSource = {
      ...letter(),
      size: 500_000,
      buffered: undefined,
      async *body() {
        yield LARGE
        throw new Error('the client left')
      },
    }
    await expect(one.put(message('a1'), failing, undefined, CALL)).rejects.toThrow('the client left')
    expect(await files(directory)).toEqual([])
  })

  it('that a crash left are removed when they are a day old, and no message’s is', async () => {
    const { one, open, directory } = await twoNodes()
    await one.put(message('a1'), letter(LARGE), undefined, CALL)
    const [kept] = await files(directory)
    const shelf = join(kept!, '..')
    const strays = [join(directory, 'tmp-old'), join(shelf, 'a1~other'), join(shelf, 'gone~1')]
    const recent = [join(directory, 'tmp-new'), join(shelf, 'gone~2')]
    for (const path of [...strays, ...recent]) await writeFile(path, 'x')
    const long = new Date(Date.now() - DAY_MS - 60_000)
    for (const path of [...strays, kept!]) await utimes(path, long, long)
    const store = await open()
    expect([...(await files(directory))].sort()).toEqual([kept!, ...recent].sort())
    expect((await contentOf((await store.read('a1'))!)).length).toBe(400_017)
  })

  it('that are gone make a delivery fail, not a store', async () => {
    const { one, directory } = await twoNodes()
    await one.put(message('a1'), letter(LARGE), undefined, CALL)
    for (const path of await files(directory)) await rm(path)
    const [claim] = await claimAll(one)
    await expect(contentOf(claim!.message)).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_STORE' })
    await one.settle(claim!, deferred(claim!, 5))
    expect(await one.remove({})).toBe(1)
  })
})

withServer('large bodies in the server', () => {
  it('are refused with 552 when they are larger than it should keep, while they arrive', async () => {
    const { path } = await redisServer()
    const { store } = await openedStore(path, { largestBody: 300_000 })
    const spool = store.spool()
    await spool.write(LARGE.subarray(0, 300_000))
    expect(() => spool.write(LARGE.subarray(0, 1))).toThrow(
      expect.objectContaining({ code: 'ERR_MAILWRIGHT_LIMIT', reply: expect.objectContaining({ code: 552 }) }),
    )
    await spool.abort()
    await expect(store.put(message('a1'), letter(LARGE), undefined, CALL)).rejects.toMatchObject({
      reply: { code: 552 },
    })
    expect(await store.stats()).toMatchObject({ messages: 0, bytes: 0 })
  })

  it('that came to no message go by themselves, and no message is stored whose body has gone', async () => {
    const { path } = await redisServer()
    const { store } = await openedStore(path)
    const source = await spooled(store, LARGE)
    const { Redis } = await import('ioredis')
    const client = new Redis({ path })
    const [key] = await client.keys('*:body:*')
    expect(await client.ttl(key!)).toBeGreaterThan(80_000)
    await client.del(key!)
    await expect(store.put(message('a1'), source, undefined, CALL)).rejects.toMatchObject({
      code: 'ERR_MAILWRIGHT_STORE',
    })
    expect(await store.stats()).toMatchObject({ messages: 0 })
    await store.put(message('a2'), await spooled(store, LARGE), undefined, CALL)
    const [kept] = await client.keys('*:body:*')
    expect(await client.ttl(kept!)).toBe(-1)
    client.disconnect()
  })
})
