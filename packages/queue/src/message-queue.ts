/**
 * The queue manager as a Transport: takes responsibility for a message by storing it durably, and then delivers it
 * through other transports until every recipient is served or has failed, and the sender knows.
 */
import {
  type Block,
  type Call,
  type Capability,
  type Claim,
  type Clock,
  type DeliveryJob,
  type Duration,
  type EntriesQuery,
  idMaker,
  isSelected,
  type Lifecycle,
  type Limits,
  MailwrightError,
  type MessageId,
  type MessageSource,
  milliseconds,
  type Outcome,
  type QueueEntry,
  type QueueStats,
  type QueueStore,
  type RecipientId,
  type Router,
  type Scope,
  type Selection,
  type Transport,
} from '@mailwright/core'
import { type AcceptanceParts, acceptMessage } from './acceptance.ts'
import type { AttemptParts } from './attempt.ts'
import { queueCapabilities } from './capabilities.ts'
import { dependable } from './dependable-retry.ts'
import { type ConcurrencyTable, type DestinationRules, destinationRules } from './destination-rules.ts'
import { Dispatcher } from './dispatcher.ts'
import { ERROR_TRANSPORT } from './error-lane.ts'
import { LimitGate } from './limit-gate.ts'
import { type LimitRule, limitsOf } from './limit-rules.ts'
import { memoryLimits } from './limits.ts'
import { type RetrySchedule, retryByAge } from './retry.ts'
import { Scheduler } from './scheduler.ts'
import { type StreamsOption, streamOf } from './streams.ts'

export interface MessageQueueOptions {
  /** Our name in notices. */
  readonly hostname: string
  readonly store: QueueStore
  readonly router: Router
  /** By the names the router uses. A block among them lives and dies with the queue. */
  readonly transports: Readonly<Record<string, Transport | Block<Transport>>>
  /** When a deferred recipient is tried again. Default Postfix's: `retryByAge('300s', '4000s')`. */
  readonly retry?: RetrySchedule
  /** How long mail is tried before it is returned. Default 5 days. */
  readonly lifetime?: Duration
  /** The same for notices. Default 5 days. */
  readonly bounceLifetime?: Duration
  /** Most recipients of one attempt. Default 50. */
  readonly recipientLimit?: number
  /** Most attempts under way at once. Default 100. */
  readonly maxAttempts?: number
  /** Attempts a destination gets at first, and at most. Default 5 and 20. */
  readonly initialConcurrency?: number
  readonly concurrencyLimit?: number
  /** The same and more, by transport or destination. */
  readonly concurrency?: ConcurrencyTable
  /** Mail that has a line of its own, by its labels. Default none. */
  readonly streams?: StreamsOption
  /** A message with more entries than this at one destination has a line of its own there. Default 10. */
  readonly bulkAbove?: number
  /** The part of `maxAttempts` that one stream may have while others wait. Default 0.8. */
  readonly streamShare?: number
  /** How many attempts, at once or in a time, for each tenant, campaign or whatever is labelled. Default none. */
  readonly limits?: readonly LimitRule[]
  /** Who keeps them. Default `memoryLimits()`; several nodes need one that they share. */
  readonly limitKeeper?: Limits
  /** How long a destination is left alone after a cohort of failures. Default 300 s. */
  readonly deadFor?: Duration
  /** How long an attempt owns its entry without renewal. Default 10 min. */
  readonly lease?: Duration
}

/** The queue as its host sees it. */
export interface MessageQueue extends Transport {
  entries(query: EntriesQuery): Promise<readonly QueueEntry[]>
  read(message: MessageId): Promise<MessageSource | undefined>
  /**
   * Makes waiting entries due now and starts on them, also where a destination is being left alone as dead: that of
   * `selection.lane`, or without it every one. Resolves with how many.
   */
  flush(selection: Selection): Promise<number>
  /** Keeps entries from delivery, also those claimed and not yet tried; an attempt under way goes on. Resolves with how many. */
  hold(selection: Selection, reason: string): Promise<number>
  release(selection: Selection): Promise<number>
  /** Removes entries, likewise. What an attempt under way comes to is then not recorded. Resolves with how many. */
  remove(selection: Selection): Promise<number>
  stats(): Promise<QueueStats>
  /**
   * How long ready mail has been waiting though there are slots for it, ms, for a gauge. Some ms are usual; more than the
   * time the store takes to answer means that something is stuck.
   */
  readonly liveness: number
}

/**
 * Makes a queue.
 *
 * @example
 * const queue = mta.use(messageQueue({
 *   hostname: 'mx.example.org', store: lmdbStore({ directory: './spool' }), router,
 *   transports: { local: maildir({ mailboxes }), smtp: smtpTransport({ hostname: 'mx.example.org' }) },
 * }))
 */
export function messageQueue(options: MessageQueueOptions): Block<MessageQueue> {
  return { name: 'queue', create: (scope) => new QueueManager(options, scope) }
}

class QueueManager implements MessageQueue, Lifecycle {
  readonly name = 'queue'
  readonly capabilities: ReadonlySet<Capability>
  readonly #store: QueueStore
  readonly #scope: Scope
  readonly #clock: Clock
  readonly #children: readonly Lifecycle[]
  readonly #dispatcher: Dispatcher
  readonly #acceptance: AcceptanceParts
  readonly #giveUp = new AbortController()

  constructor(options: MessageQueueOptions, scope: Scope) {
    const { environment, events } = scope
    this.#store = options.store
    this.#scope = scope
    this.#clock = environment.clock
    const transports = new Map<string, Transport>()
    const children: Lifecycle[] = []
    for (const [name, given] of Object.entries(options.transports)) {
      assertTransportName(name)
      if ('create' in given) {
        const made = given.create(scope)
        children.push(made)
        transports.set(name, made)
      } else transports.set(name, given)
    }
    this.#children = children
    this.capabilities = queueCapabilities(transports.values())
    const ids = idMaker(environment.clock, environment.random)
    const leaseMs = positive('lease', milliseconds(options.lease ?? '10m'))
    const parts: AttemptParts = {
      store: options.store,
      router: options.router,
      transports,
      environment,
      events,
      hostname: options.hostname,
      nextId: () => ids.next(),
      retry: {
        schedule: dependable(options.retry ?? retryByAge(), (error) =>
          events.emit({ type: 'failure', where: 'the retry schedule', error }),
        ),
        lifetimeMs: milliseconds(options.lifetime ?? '5d'),
        bounceLifetimeMs: milliseconds(options.bounceLifetime ?? '5d'),
      },
    }
    const usual: DestinationRules = {
      initial: positive('initialConcurrency', options.initialConcurrency ?? 5),
      limit: positive('concurrencyLimit', options.concurrencyLimit ?? 20),
      failedCohortLimit: 1,
      recipientLimit: positive('recipientLimit', options.recipientLimit ?? 50),
      rateDelayMs: 0,
      transportRateDelayMs: 0,
    }
    const rulesOf = destinationRules(options.concurrency, usual, (error) =>
      events.emit({ type: 'failure', where: 'the concurrency of a destination', error }),
    )
    const scheduler = new Scheduler({
      ...usual,
      mannersOf: rulesOf,
      share: positiveShare(options.streamShare ?? 0.8),
      maxAttempts: positive('maxAttempts', options.maxAttempts ?? 100),
      ahead: 50,
      aheadOfAll: 200,
      deadMs: milliseconds(options.deadFor ?? '300s'),
      surveyLimit: 100,
    })
    const { limits: rules = [], limitKeeper = memoryLimits() } = options
    const applied = limitsOf(rules, (error) => events.emit({ type: 'failure', where: 'the key of a limit', error }))
    const gateOf = (letGo: (claim: Claim) => void): LimitGate =>
      new LimitGate({ limits: limitKeeper, limitsOf: applied, clock: environment.clock, events, leaseMs, letGo })
    const call: Call = { signal: this.#giveUp.signal }
    this.#dispatcher = new Dispatcher(parts, scheduler, leaseMs, call, rules.length > 0 ? gateOf : undefined)
    this.#acceptance = {
      store: options.store,
      router: options.router,
      environment,
      events,
      recipientLimit: (lane) => rulesOf(lane).recipientLimit,
      streams: {
        streamOf: streamOf(options.streams, (error) => events.emit({ type: 'failure', where: 'the streams', error })),
        bulkAbove: positive('bulkAbove', options.bulkAbove ?? 10),
      },
      leaseMs,
      reserve: (lane) => this.#dispatcher.reserve(lane),
      placed: (placement) => this.#dispatcher.place(placement),
    }
  }

  async start(call: Call): Promise<void> {
    await this.#store.open(this.#scope.events)
    const started: Lifecycle[] = []
    try {
      for (const child of this.#children) {
        await child.start?.(call)
        started.push(child)
      }
    } catch (error) {
      // A queue that did not start is not stopped by the server: it must not keep the store from the next one.
      await this.#close(started)
      throw error
    }
    this.#dispatcher.start()
  }

  /** Attempts in hand may finish until the signal aborts; then they are handed back unsettled. */
  async drain(call: Call): Promise<void> {
    const giveUp = (): void => this.#giveUp.abort(call.signal.reason)
    if (call.signal.aborted) giveUp()
    call.signal.addEventListener('abort', giveUp, { once: true })
    await this.#dispatcher.drain()
    call.signal.removeEventListener('abort', giveUp)
    for (const child of this.#children) await this.#attempt('draining', () => child.drain?.(call))
  }

  async stop(): Promise<void> {
    this.#giveUp.abort()
    await this.#dispatcher.drain()
    await this.#close(this.#children)
  }

  /** Stops transports, last first, and closes the store whatever they do. */
  async #close(children: readonly Lifecycle[]): Promise<void> {
    for (const child of children.toReversed()) await this.#attempt('stopping', () => child.stop?.())
    await this.#store.close()
  }

  async #attempt(what: string, run: () => Promise<void> | undefined): Promise<void> {
    try {
      await run()
    } catch (error) {
      this.#scope.events.emit({ type: 'failure', where: `${what} a transport of the queue`, error })
    }
  }

  deliver(job: DeliveryJob, call: Call): Promise<ReadonlyMap<RecipientId, Outcome>> {
    return acceptMessage(this.#acceptance, job, call)
  }

  refusing(): ReturnType<QueueStore['refusing']> {
    return this.#store.refusing()
  }

  spool(): ReturnType<QueueStore['spool']> {
    return this.#store.spool()
  }

  entries(query: EntriesQuery): Promise<readonly QueueEntry[]> {
    return this.#store.entries(query)
  }

  read(message: MessageId): Promise<MessageSource | undefined> {
    return this.#store.read(message)
  }

  get liveness(): number {
    return this.#dispatcher.liveness
  }

  async flush(selection: Selection): Promise<number> {
    const now = this.#clock.now()
    const count = await this.#store.reschedule(selection, now)
    if (count > 0) this.#dispatcher.tell({ type: 'flushed', lane: selection.lane, now })
    return count
  }

  hold(selection: Selection, reason: string): Promise<number> {
    return this.#recalling(selection, this.#store.hold(selection, reason))
  }

  async release(selection: Selection): Promise<number> {
    const count = await this.#store.release(selection, this.#clock.now())
    if (count > 0) this.#dispatcher.wake()
    return count
  }

  remove(selection: Selection): Promise<number> {
    return this.#recalling(selection, this.#store.remove(selection))
  }

  /** After a change, or half of one: what of it waits here for a slot is not tried as it was. */
  async #recalling(selection: Selection, change: Promise<number>): Promise<number> {
    let changed: number | undefined
    try {
      changed = await change
      return changed
    } finally {
      const meant: Selection = { ...selection, held: undefined }
      if (changed !== 0) await this.#dispatcher.recall(({ entry }) => isSelected(meant, entry))
    }
  }

  stats(): Promise<QueueStats> {
    return this.#store.stats()
  }
}

function positive(option: string, value: number): number {
  if (value >= 1 && Number.isFinite(value)) return value
  throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `${option} of the queue must be at least 1, not ${value}`)
}

function positiveShare(value: number): number {
  if (value > 0 && value <= 1) return value
  throw new MailwrightError(
    'ERR_MAILWRIGHT_CONFIG',
    `streamShare of the queue must be above 0 and at most 1, not ${value}`,
  )
}

/** A lane is written `transport:destination`, and `error` is where refused recipients go. */
function assertTransportName(name: string): void {
  if (name === '' || /[:/]/.test(name) || name === ERROR_TRANSPORT)
    throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `not a name for a transport of the queue: ${name}`)
}
