import { Cluster, Redis } from 'ioredis'
import { expect, it, onTestFinished } from 'vitest'
import type { RedisStoreOptions } from './options.ts'
import { redisLimits } from './redis-limits.ts'
import { redisStore } from './redis-store.ts'
import { freeLocalPort } from './testing-support/free-port.ts'
import { CALL, claimAll, contentOf, eventLog, letter, message, relayed } from './testing-support/mail.ts'
import { redisServer, withServer } from './testing-support/redis-server.ts'

/** A cluster of one, which has all slots. */
async function cluster(): Promise<{ readonly host: string; readonly port: number }> {
  const port = await freeLocalPort()
  const { path } = await redisServer({
    settings: {
      port: String(port),
      bind: '127.0.0.1',
      'cluster-enabled': 'yes',
      'cluster-announce-ip': '127.0.0.1',
      'cluster-port': String(await freeLocalPort()),
    },
  })
  const client = new Redis({ path })
  await client.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383')
  // It waits two seconds before it says so.
  await expect
    .poll(async () => String(await client.call('CLUSTER', 'INFO')), { timeout: 15_000 })
    .toContain('cluster_state:ok')
  client.disconnect()
  return { host: '127.0.0.1', port }
}

async function deliverOne(options: Omit<RedisStoreOptions, 'name'>): Promise<void> {
  const store = redisStore({ ...options, name: 'edge' })
  await store.open(eventLog())
  onTestFinished(() => store.close())
  await store.put(message('a1'), letter(Buffer.alloc(300_000, 98)), undefined, CALL)
  await store.put(message('a2'), letter(), undefined, CALL)
  const claims = await claimAll(store)
  expect((await contentOf(claims[0]!.message)).length).toBe(300_017)
  for (const claim of claims) await store.settle(claim, relayed(claim))
  expect(await store.stats()).toMatchObject({ messages: 0, entries: 0, bytes: 0 })
}

withServer('a queue', () => {
  it('is kept in a cluster, all of it on one of its nodes', async () => {
    await deliverOne({ cluster: [await cluster()] })
  })

  it('is not opened in a cluster that does not work', async () => {
    const port = await freeLocalPort()
    const settings = { port: String(port), bind: '127.0.0.1', 'cluster-enabled': 'yes' }
    await redisServer({ settings: { ...settings, 'cluster-port': String(await freeLocalPort()) } })
    const store = redisStore({ cluster: [{ host: '127.0.0.1', port }], name: 'edge' })
    await expect(store.open(eventLog())).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_STORE' })
  })

  it('is reached by the settings of a client the host has, of a cluster or of one server', async () => {
    const nodes = new Cluster([await cluster()], { lazyConnect: true })
    await deliverOne({ client: nodes })
    const { path } = await redisServer()
    const client = new Redis({ path, lazyConnect: true, keyPrefix: 'host:', enableAutoPipelining: true })
    await deliverOne({ client })
    const limits = redisLimits({ client })
    expect(await limits.enter('site', 1, 1_000, 0)).toBeDefined()
    await limits.close()
    expect([nodes.status, client.status]).toEqual(['wait', 'wait'])
  })

  it('is reached by a URL, with a password', async () => {
    const port = await freeLocalPort()
    await redisServer({ settings: { port: String(port), bind: '127.0.0.1', requirepass: 'secret' } })
    await deliverOne({ url: `redis://:secret@127.0.0.1:${port}/3` })
    const stranger = redisStore({ url: `redis://:wrong@127.0.0.1:${port}`, name: 'edge', patienceMs: 500 })
    await expect(stranger.open(eventLog())).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_STORE' })
  })
})
