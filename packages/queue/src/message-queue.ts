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
  idMaker,
  type Lifecycle,
  type Limits,
  MailwrightError,
  milliseconds,
  type Outcome,
  type QueueStore,
  type RecipientId,
  type ResponseCategory,
  type Router,
  type Scope,
  type SuppressionList,
  type Suspension,
  type Transport,
} from '@mailwright/core'
import { type AcceptanceParts, acceptMessage } from './acceptance.ts'
import type { AttemptParts } from './attempt.ts'
import { suppressBounces } from './bounce-suppression.ts'
import { queueCapabilities } from './capabilities.ts'
import { type Reactions, type ResponseRule, responseReader } from './classification.ts'
import { type ConcurrencyTable, type DestinationRules, destinationRules } from './destination-rules.ts'
import { Dispatcher } from './dispatcher.ts'
import { ERROR_TRANSPORT } from './error-lane.ts'
import { knownResponses } from './known-responses.ts'
import { LimitGate } from './limit-gate.ts'
import { type LimitRule, limitsOf } from './limit-rules.ts'
import { memoryLimits } from './limits.ts'
import type { NoticeOptions } from './notice-style.ts'
import { Operator, type QueueOperations } from './operations.ts'
import { checkedPostmaster, type PostmasterOptions } from './postmaster.ts'
import { exceptionalRules, POSTFIX_RULES, type RetryException, type RetryOptions, usualRules } from './retry-rules.ts'
import { Scheduler } from './scheduler.ts'
import { type StreamsOption, streamOf } from './streams.ts'
import { suppressing } from './suppressing-router.ts'
import { SuspensionWatch } from './suspension-watch.ts'
import { UnreachableDestinations } from './unreachable.ts'
import { checkedVerp, type VerpOptions } from './verp-sender.ts'

export interface MessageQueueOptions extends RetryOptions {
  /** Our name in notices. */
  readonly hostname: string
  readonly store: QueueStore
  readonly router: Router
  /** By the names the router uses. A block among them lives and dies with the queue. */
  readonly transports: Readonly<Record<string, Transport | Block<Transport>>>
  /** Mail that is tried otherwise than `retry`, `lifetime` and `bounceLifetime` say. The first that fits counts. */
  readonly retryExceptions?: readonly RetryException[]
  /** What answers are about: rules read in their order, or `none`. Default `knownResponses`. */
  readonly classify?: readonly ResponseRule[] | 'none'
  /** What to do about answers, by what they are about. Default nothing but what the answer says. */
  readonly reactions?: Reactions
  /** After how long a sender is told, once, that mail is late and still being tried. Default never. */
  readonly warnAfter?: Duration
  /** How notices are worded, and what they return. */
  readonly notices?: NoticeOptions
  /** Which troubles the postmaster hears of too. Default none. */
  readonly postmaster?: PostmasterOptions
  /** Gives mail a sender for each recipient, and so an attempt. Default off. */
  readonly verp?: VerpOptions
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
  /** Recipients that are refused, `550 5.7.1`, whatever the router would say. See `suppressing`. */
  readonly suppressions?: SuppressionList
  /** Answers after which a recipient that failed is put on that list. Default none; `unknown-recipient` suggests itself. */
  readonly suppressAfter?: readonly ResponseCategory[]
  /** How long an attempt owns its entry without renewal. Default 10 min. */
  readonly lease?: Duration
}

/** The queue as its host sees it. */
export interface MessageQueue extends Transport, QueueOperations {
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
  readonly #options: MessageQueueOptions
  readonly #store: QueueStore
  readonly #scope: Scope
  readonly #children: readonly Lifecycle[]
  readonly #dispatcher: Dispatcher
  readonly #watch: SuspensionWatch
  readonly #operator: Operator
  readonly #acceptance: AcceptanceParts
  readonly #giveUp = new AbortController()
  #unlearn: (() => void) | undefined

  constructor(options: MessageQueueOptions, scope: Scope) {
    const { environment, events } = scope
    this.#options = options
    this.#store = options.store
    this.#scope = scope
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
    const report = (error: unknown): void => events.emit({ type: 'failure', where: 'the retry schedule', error })
    const retry = usualRules(options, POSTFIX_RULES, report)
    const table = options.classify ?? knownResponses
    const responses = table === 'none' ? undefined : responseReader(table, options.reactions ?? {}, report)
    if (responses?.suppresses === 'yes' && options.suppressions === undefined)
      throw new MailwrightError(
        'ERR_MAILWRIGHT_CONFIG',
        'a reaction of the queue suppresses, and there are no suppressions',
      )
    if (options.suppressAfter !== undefined && options.suppressions === undefined)
      throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', 'suppressAfter of the queue wants suppressions')
    const router = routerOf(options, environment.clock)
    const verp = options.verp && checkedVerp(options.verp)
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
    const recipientLimit = (lane: string): number => rulesOf(lane).recipientLimit
    const parts: AttemptParts = {
      store: options.store,
      router,
      transports,
      environment,
      events,
      hostname: options.hostname,
      nextId: () => ids.next(),
      recipientLimit,
      retry,
      rulesFor: exceptionalRules(options.retryExceptions ?? [], retry, new Set(transports.keys()), report),
      responses,
      unreachable: new UnreachableDestinations(),
      suppressions: options.suppressions,
      warnAfterMs: options.warnAfter === undefined ? undefined : milliseconds(options.warnAfter),
      notices: options.notices,
      postmaster: options.postmaster && checkedPostmaster(options.postmaster),
      verp,
    }
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
    const { store } = options
    const { clock } = environment
    const dispatcher = this.#dispatcher
    const apply = (suspensions: readonly Suspension[]): void => dispatcher.suspend(suspensions)
    this.#watch = new SuspensionWatch({ store, clock, events, apply })
    this.#options = options
    this.#operator = new Operator({ store, clock, dispatcher, watch: this.#watch, transports })
    this.#acceptance = {
      store: options.store,
      router,
      environment,
      events,
      recipientLimit,
      streams: {
        streamOf: streamOf(options.streams, (error) => events.emit({ type: 'failure', where: 'the streams', error })),
        bulkAbove: positive('bulkAbove', options.bulkAbove ?? 10),
      },
      leaseMs,
      verp,
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
      await this.#watch.start()
    } catch (error) {
      // A queue that did not start is not stopped by the server: it must not keep the store from the next one.
      await this.#close(started)
      throw error
    }
    this.#unlearn = learning(this.#options, this.#scope)
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
    this.#unlearn?.()
    await this.#watch.stop()
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

  get liveness(): number {
    return this.#dispatcher.liveness
  }

  entries: QueueOperations['entries'] = (query) => this.#operator.entries(query)
  read: QueueOperations['read'] = (message) => this.#operator.read(message)
  flush: QueueOperations['flush'] = (selection) => this.#operator.flush(selection)
  hold: QueueOperations['hold'] = (selection, reason) => this.#operator.hold(selection, reason)
  release: QueueOperations['release'] = (selection) => this.#operator.release(selection)
  requeue: QueueOperations['requeue'] = (selection) => this.#operator.requeue(selection)
  reroute: QueueOperations['reroute'] = (selection, to) => this.#operator.reroute(selection, to)
  expire: QueueOperations['expire'] = (selection) => this.#operator.expire(selection)
  remove: QueueOperations['remove'] = (selection) => this.#operator.remove(selection)
  suspend: QueueOperations['suspend'] = (scope, about) => this.#operator.suspend(scope, about)
  resume: QueueOperations['resume'] = (scope) => this.#operator.resume(scope)
  suspensions: QueueOperations['suspensions'] = () => this.#operator.suspensions()
  stats: QueueOperations['stats'] = () => this.#operator.stats()
  shape: QueueOperations['shape'] = (query) => this.#operator.shape(query)
}

function routerOf({ router, suppressions }: MessageQueueOptions, clock: Clock): Router {
  return suppressions === undefined ? router : suppressing(router, suppressions, clock)
}

/** Begins to put those who fail on the list, where that is wanted; the result ends it. */
function learning({ suppressions, suppressAfter }: MessageQueueOptions, scope: Scope): (() => void) | undefined {
  return suppressions && suppressAfter && suppressBounces(scope, suppressions, suppressAfter)
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
