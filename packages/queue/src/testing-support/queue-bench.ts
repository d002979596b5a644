/** A queue on a manual clock, with a scripted transport, over a memory store that can be made to fail. */
import type {
  Call,
  DeliveryJob,
  Duration,
  Lifecycle,
  Mailbox,
  Outcome,
  QueueEntry,
  QueueStore,
  RecipientId,
  Router,
  Routing,
} from '@mailwright/core'
import {
  type ManualClock,
  type OutcomeScript,
  type ScriptedTransport,
  scriptedTransport,
  type TestJob,
  type TestScope,
  testEnvironment,
  testJob,
  testScope,
} from '@mailwright/testing'
import { afterEach, expect } from 'vitest'
import { type MessageQueue, messageQueue } from '../message-queue.ts'
import type { MessageQueueOptions } from '../queue-options.ts'
import { type Faults, faultyStore } from './faulty-store.ts'

export const CALL: Call = { signal: new AbortController().signal }

/** What a router answers, by address or `@domain`; a function is asked each time. Everything else goes out by `smtp`. */
export type Routes = Readonly<Record<string, Routing | (() => Routing | Promise<Routing>)>>

/** A router of that table. */
export function routerOf(routes: Routes = {}): Router {
  return {
    route(address: Mailbox): Routing | Promise<Routing> {
      const known = routes[`${address.local}@${address.domain}`] ?? routes[`@${address.domain}`]
      if (typeof known === 'function') return known()
      return known ?? { kind: 'send', lane: { transport: 'smtp', destination: address.domain } }
    },
    destination: () => ({ kind: 'elsewhere', refusal: null }),
  }
}

export interface BenchOptions extends Partial<Omit<MessageQueueOptions, 'router'>> {
  readonly routes?: Routes
  readonly outcomes?: OutcomeScript
  /** How long each attempt takes. */
  readonly takes?: Duration
}

export interface QueueBench {
  readonly clock: ManualClock
  readonly scope: TestScope
  readonly store: QueueStore
  readonly faults: Faults
  readonly smtp: ScriptedTransport
  readonly queue: MessageQueue & Lifecycle
  /** Hands a message to the queue, as an intake does. */
  send(job?: TestJob): Promise<ReadonlyMap<RecipientId, Outcome>>
  entries(): Promise<readonly QueueEntry[]>
  failures(): readonly string[]
  /** Drains and stops, with grace time. Afterwards no timer may be left. */
  end(): Promise<void>
}

/**
 * Gives started queues to the tests of a file, or takes care of one; after each test they are stopped, and nothing of
 * them may be left running.
 */
export function caredFor(): (given?: BenchOptions | QueueBench) => Promise<QueueBench> {
  const benches: QueueBench[] = []
  afterEach(async () => {
    for (const bench of benches.splice(0)) {
      await bench.end()
      expect(bench.clock.pending).toBe(0)
      expect(bench.smtp.busy).toBe(0)
      expect(bench.faults.listeners).toBe(0)
    }
  })
  return async (given = {}) => {
    const bench = 'queue' in given ? given : await startedQueue(given)
    benches.push(bench)
    return bench
  }
}

/** Makes a queue that is not started yet. */
export function queueBench(options: BenchOptions = {}): QueueBench {
  const { routes, outcomes = { '*': 'ok' }, takes = 0, ...rest } = options
  const environment = testEnvironment()
  const { clock } = environment
  const scope = testScope({ environment })
  const { store, faults } = faultyStore(rest.store)
  const smtp = scriptedTransport({ name: 'smtp', outcomes, takes, clock })
  const queue = messageQueue({
    hostname: 'mx.example.org',
    router: routerOf(routes),
    transports: { smtp },
    ...rest,
    store,
  }).create(scope)
  let sent = 0
  return {
    clock,
    scope,
    store,
    faults,
    smtp,
    queue,
    send(job: TestJob = {}): Promise<ReadonlyMap<RecipientId, Outcome>> {
      sent += 1
      return queue.deliver(testJob({ id: `m${sent}`, arrivedAt: clock.now(), ...job }), CALL)
    },
    entries: () => store.entries({ limit: 100 }),
    failures: () => scope.events.of('failure').map(({ where }) => where),
    async end(): Promise<void> {
      const grace = new AbortController()
      const timer = clock.after(10_000, () => grace.abort(new Error('grace time is over')))
      await clock.until(queue.drain!({ signal: grace.signal }))
      timer.cancel()
      await clock.until(queue.stop!())
    },
  }
}

/** A started queue. */
export async function startedQueue(options: BenchOptions = {}): Promise<QueueBench> {
  const bench = queueBench(options)
  await bench.queue.start!(CALL)
  await bench.clock.settle()
  return bench
}

/** The addresses of a job's recipients. */
export function addressees(job: DeliveryJob): string[] {
  return job.envelope.recipients.map(({ address }) => `${address.local}@${address.domain}`)
}
