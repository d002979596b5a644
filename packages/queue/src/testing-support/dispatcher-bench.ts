/** A dispatcher on a manual clock over a memory store, without the queue around it: mail is put straight into the store. */
import type { Claim, Labels, Limits, NewMessage, QueueStore } from '@mailwright/core'
import {
  type ManualClock,
  type OutcomeScript,
  type ScriptedTransport,
  scriptedTransport,
  type TestScope,
  testEnvironment,
  testMessage,
  testScope,
} from '@mailwright/testing'
import { Dispatcher } from '../dispatcher.ts'
import { LimitGate } from '../limit-gate.ts'
import { type LimitRule, limitsOf } from '../limit-rules.ts'
import { memoryLimits } from '../limits.ts'
import { retryAfter } from '../retry.ts'
import { Scheduler, type SchedulerOptions } from '../scheduler.ts'
import { UnreachableDestinations } from '../unreachable.ts'
import { type Faults, faultyStore } from './faulty-store.ts'
import { CALL, routerOf } from './queue-bench.ts'

export interface DispatcherBench {
  readonly clock: ManualClock
  readonly scope: TestScope
  readonly store: QueueStore
  readonly faults: Faults
  readonly smtp: ScriptedTransport
  readonly dispatcher: Dispatcher
  /** Stores one message and tells the dispatcher. */
  put(lane: string, given?: { readonly labels?: Labels; readonly id?: string }): Promise<void>
  /** When each message was tried, ms after the bench was made. */
  readonly tried: readonly (readonly [message: string, at: number])[]
}

export interface DispatcherBenchOptions extends Partial<SchedulerOptions> {
  readonly outcomes?: OutcomeScript
  readonly takes?: number
  readonly limits?: readonly LimitRule[]
  readonly limitKeeper?: Limits
}

export const LEASE_MS = 600_000

export async function dispatcherBench(options: DispatcherBenchOptions = {}): Promise<DispatcherBench> {
  const { outcomes = { '*': 'ok' }, takes = 0, limits: rules = [], limitKeeper = memoryLimits(), ...given } = options
  const environment = testEnvironment()
  const { clock } = environment
  const scope = testScope({ environment })
  const { events } = scope
  const { store, faults } = faultyStore()
  await store.open(events)
  const begun = clock.now()
  const tried: (readonly [string, number])[] = []
  const smtp = scriptedTransport({ name: 'smtp', outcomes, takes, clock })
  const noting = {
    name: 'smtp',
    deliver: (job: Parameters<typeof smtp.deliver>[0], call: Parameters<typeof smtp.deliver>[1]) => {
      tried.push([job.id, clock.now() - begun])
      return smtp.deliver(job, call)
    },
  }
  const scheduler = new Scheduler({
    initial: 5,
    limit: 20,
    failedCohortLimit: 1,
    maxAttempts: 100,
    ahead: 50,
    aheadOfAll: 200,
    deadMs: 300_000,
    surveyLimit: 100,
    ...given,
  })
  const parts = {
    store,
    router: routerOf(),
    transports: new Map([['smtp', noting]]),
    environment,
    events,
    hostname: 'mx.example.org',
    nextId: () => 'notice',
    recipientLimit: 50,
    unreachable: new UnreachableDestinations(),
    retry: { schedule: retryAfter('1m'), lifetimeMs: 86_400_000, bounceLifetimeMs: 86_400_000 },
  }
  const failed = (error: unknown): void => events.emit({ type: 'failure', where: 'the key of a limit', error })
  const gateOf = (letGo: (claim: Claim) => void): LimitGate =>
    new LimitGate({ limits: limitKeeper, limitsOf: limitsOf(rules, failed), clock, events, leaseMs: LEASE_MS, letGo })
  const dispatcher = new Dispatcher(parts, scheduler, LEASE_MS, CALL, rules.length > 0 ? gateOf : undefined)
  let sent = 0
  return {
    clock,
    scope,
    store,
    faults,
    smtp,
    dispatcher,
    tried,
    async put(lane, { labels, id = `m${++sent}` } = {}): Promise<void> {
      const address = { local: 'ann', domain: 'example.org' }
      const now = clock.now()
      const message: NewMessage = {
        id,
        sender: null,
        options: labels === undefined ? {} : { labels },
        arrivedAt: now,
        entries: [{ lane, recipients: [{ id: 1, address, original: address }], dueAt: now }],
      }
      await store.put(message, testMessage(), undefined, CALL)
      dispatcher.place({ reserved: new Set(), claims: [], waiting: [lane] })
    },
  }
}
