/** Servers that share one queue on a real Redis server, each whole and with a transport the test holds the strings of. */
import {
  type Call,
  type DeliveryJob,
  type MessageId,
  type Outcome,
  type RecipientId,
  sameOutcome,
  type Transport,
} from '@mailwright/core'
import { createMta, type Mta } from '@mailwright/kernel'
import { type MessageQueue, type MessageQueueOptions, messageQueue } from '@mailwright/queue'
import { redisStore } from '@mailwright/redis'
import { fixedRouter } from '@mailwright/router'
import { testJob } from '@mailwright/testing'
import { expect, it, onTestFinished } from 'vitest'
import { redisServer, withServer } from '../../packages/redis/src/testing-support/redis-server.ts'

const CALL: Call = { signal: new AbortController().signal }
const RELAYED: Outcome = { status: 'ok', action: 'relayed', reply: { code: 250, enhanced: '2.0.0', text: 'Ok' } }

/** A transport that keeps what it is given until it is opened. */
interface Gate extends Transport {
  readonly begun: MessageId[]
  open(): void
}

function gate(): Gate {
  const { promise, resolve } = Promise.withResolvers<void>()
  const begun: MessageId[] = []
  return {
    name: 'gate',
    begun,
    open: resolve,
    async deliver(job: DeliveryJob): Promise<ReadonlyMap<RecipientId, Outcome>> {
      begun.push(job.id)
      await promise
      return sameOutcome(job.envelope, RELAYED)
    },
  }
}

interface Node {
  readonly queue: MessageQueue
  readonly transport: Gate
  readonly mta: Mta
}

async function node(path: string, options: Partial<MessageQueueOptions> = {}): Promise<Node> {
  const transport = gate()
  const mta = createMta({ name: 'node' })
  const queue = mta.use(
    messageQueue({
      hostname: 'mx.example.org',
      store: redisStore({ connection: { path }, name: 'shared' }),
      router: fixedRouter({ transport: 'gate', destination: 'example.org' }),
      transports: { gate: transport },
      ...options,
    }),
  )
  await mta.start()
  onTestFinished(() => {
    transport.open()
    return mta.stop()
  })
  return { queue, transport, mta }
}

let jobs = 0

function job(): DeliveryJob {
  jobs += 1
  return testJob({ id: `m${String(jobs).padStart(6, '0')}`, arrivedAt: Date.now() })
}

async function take({ queue }: Node, count: number): Promise<void> {
  for (let index = 0; index < count; index++) await queue.deliver(job(), CALL)
}

withServer('servers that share a queue', () => {
  it('deliver each other’s mail: what one has no hands for goes to the other at once', async () => {
    const { path } = await redisServer()
    const busy = await node(path, { maxAttempts: 1 })
    const idle = await node(path)
    await take(busy, 5)
    // One is tried, some wait in hand; the rest is the other's.
    await expect.poll(() => busy.transport.begun.length).toBe(1)
    busy.transport.open()
    idle.transport.open()
    await expect.poll(() => idle.queue.stats()).toMatchObject({ messages: 0 })
    const all = [...busy.transport.begun, ...idle.transport.begun]
    expect(all).toHaveLength(5)
    expect(new Set(all).size).toBe(5)
  })

  it('hand mail over when one of them stops', async () => {
    const { path } = await redisServer()
    const leaving = await node(path, { maxAttempts: 1 })
    const staying = await node(path, { maxAttempts: 1 })
    await take(leaving, 8)
    await expect.poll(() => leaving.transport.begun.length).toBe(1)
    staying.transport.open()
    const stopped = leaving.mta.stop()
    leaving.transport.open()
    await stopped
    await expect.poll(() => staying.queue.stats()).toMatchObject({ messages: 0, claimed: 0 })
    const all = [...leaving.transport.begun, ...staying.transport.begun]
    expect(all).toHaveLength(8)
    expect(new Set(all).size).toBe(8)
  })

  it('obey an operator at any of them, also with mail that waits in hand at another', async () => {
    const { path } = await redisServer()
    const busy = await node(path, { maxAttempts: 1 })
    const desk = await node(path, { maxAttempts: 1 })
    await take(busy, 4)
    await expect.poll(() => busy.transport.begun.length).toBe(1)
    await desk.queue.hold({}, 'looked at')
    await expect.poll(async () => (await desk.queue.stats()).claimed).toBeLessThanOrEqual(2)
    for (const each of [busy, desk]) each.transport.open()
    await expect.poll(() => desk.queue.stats()).toMatchObject({ claimed: 0 })
    const { held } = await desk.queue.stats()
    expect(held).toBeGreaterThanOrEqual(2)
    const begun = busy.transport.begun.length + desk.transport.begun.length
    expect(begun).toBe(4 - held)
    await busy.queue.release({})
    await expect.poll(() => desk.queue.stats()).toMatchObject({ messages: 0 })
    expect(busy.transport.begun.length + desk.transport.begun.length).toBe(4)
  })

  it('try nothing while one of them was told to suspend all mail', async () => {
    const { path } = await redisServer()
    const desk = await node(path)
    const other = await node(path)
    for (const each of [desk, other]) each.transport.open()
    const told = new Promise((resolve) => other.mta.events.subscribe(resolve, (type) => type === 'queue.suspended'))
    await desk.queue.suspend({ kind: 'everything' }, { reason: 'moving house' })
    await told
    await take(other, 3)
    await take(desk, 3)
    expect(await other.queue.stats()).toMatchObject({ messages: 6, claimed: 0 })
    await other.queue.resume({ kind: 'everything' })
    await expect.poll(() => desk.queue.stats()).toMatchObject({ messages: 0 })
    expect(new Set([...desk.transport.begun, ...other.transport.begun]).size).toBe(6)
  })

  it('settle what they delivered while their server was away, and deliver nothing twice', async () => {
    const server = await redisServer({ settings: { appendonly: 'yes', appendfsync: 'always' } })
    const one = await node(server.path)
    const other = await node(server.path)
    await take(one, 4)
    await take(other, 4)
    await expect.poll(() => one.transport.begun.length + other.transport.begun.length).toBe(8)
    await server.kill()
    await expect.poll(() => one.queue.refusing?.()).toMatchObject({ code: 451 })
    for (const each of [one, other]) each.transport.open()
    const [refused] = (await one.queue.deliver(job(), CALL)).values()
    expect(refused).toMatchObject({ status: 'deferred', reply: { code: 451 } })
    await server.start()
    await expect.poll(() => one.queue.refusing?.(), { timeout: 10_000 }).toBeNull()
    await expect
      .poll(() => other.queue.stats().catch(() => undefined), { timeout: 10_000 })
      .toMatchObject({ messages: 0 })
    await take(one, 1)
    await expect.poll(() => one.queue.stats()).toMatchObject({ messages: 0, claimed: 0 })
    const all = [...one.transport.begun, ...other.transport.begun]
    expect(all).toHaveLength(9)
    expect(new Set(all).size).toBe(9)
  })
})
