/**
 * What a second node brings, where each has a machine of its own: in virtual time, in which neither takes CPU from the
 * other. Each node may make ten attempts at once, and each attempt takes a second.
 */
import type { Lifecycle } from '@mailwright/core'
import { type MessageQueue, messageQueue } from '@mailwright/queue'
import { type RedisStore, redisStore } from '@mailwright/redis'
import { manualClock, scriptedTransport, testEnvironment, testJob, testScope } from '@mailwright/testing'
import { expect, it, onTestFinished } from 'vitest'
import { launch, WITHOUT_SERVER } from '../../packages/redis/src/testing-support/server-process.ts'

const MESSAGES = 1_200
const CALL = { signal: new AbortController().signal }

/** Virtual seconds until so many nodes have delivered everything. */
async function secondsFor(nodes: number): Promise<number> {
  const server = await launch()
  onTestFinished(server.dispose)
  const stores: RedisStore[] = []
  const clock = manualClock(undefined, { busy: () => stores.some((store) => store.busy()) })
  const environment = testEnvironment({ clock })
  const smtp = scriptedTransport({ name: 'smtp', outcomes: { '*': 'ok' }, takes: '1s', clock })
  const queues = Array.from({ length: nodes }, (): MessageQueue & Lifecycle => {
    const store = redisStore({ connection: { path: server.path }, name: 'nodes', clock: 'caller' })
    stores.push(store)
    return messageQueue({
      hostname: 'mx.example.org',
      store,
      router: {
        route: ({ domain }) => ({ kind: 'send', lane: { transport: 'smtp', destination: domain } }),
        destination: () => ({ kind: 'elsewhere', refusal: null }),
      },
      transports: { smtp },
      maxAttempts: 10,
    }).create(testScope({ environment }))
  })
  for (const queue of queues) await clock.until(queue.start!(CALL))
  const began = clock.now()
  const puts = Array.from({ length: MESSAGES }, (_, index) =>
    queues[index % nodes]!.deliver(testJob({ id: `m${index}`, to: [`ann@host${index % 60}.example`] }), CALL),
  )
  await clock.until(Promise.all(puts))
  while (smtp.delivered.length < MESSAGES) await clock.advance('1s')
  const seconds = (clock.now() - began) / 1_000
  for (const queue of queues) await clock.until(queue.drain!(CALL))
  for (const queue of queues) await clock.until(queue.stop!())
  expect(new Set(smtp.jobs.map((job) => job.id)).size).toBe(MESSAGES)
  expect(smtp.jobs).toHaveLength(MESSAGES)
  return seconds
}

it.skipIf(WITHOUT_SERVER !== undefined)(
  'two nodes that share a queue deliver at least one and a half times as fast as one, and nothing twice',
  async () => {
    const [one, two] = [await secondsFor(1), await secondsFor(2)]
    expect(one).toBeGreaterThanOrEqual(MESSAGES / 10)
    expect(one / two).toBeGreaterThanOrEqual(1.5)
  },
  120_000,
)
