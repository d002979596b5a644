/** A queue's parts, made of what its host said, and put together. */
import {
  type Capability,
  type Claim,
  idMaker,
  type Lifecycle,
  MailwrightError,
  milliseconds,
  type Scope,
  type Transport,
} from '@mailwright/core'
import type { AcceptanceParts } from './acceptance.ts'
import type { AttemptParts } from './attempt.ts'
import { queueCapabilities } from './capabilities.ts'
import { responseReader } from './classification.ts'
import { type DestinationRules, destinationRules } from './destination-rules.ts'
import { Dispatcher } from './dispatcher.ts'
import { knownResponses } from './known-responses.ts'
import { LimitGate } from './limit-gate.ts'
import { limitsOf } from './limit-rules.ts'
import { memoryLimits } from './limits.ts'
import { Operator } from './operations.ts'
import { checkedPostmaster } from './postmaster.ts'
import { assertTransportName, type MessageQueueOptions, positive, positiveShare } from './queue-options.ts'
import { exceptionalRules, POSTFIX_RULES, usualRules } from './retry-rules.ts'
import { Scheduler } from './scheduler.ts'
import { streamOf } from './streams.ts'
import { suppressing } from './suppressing-router.ts'
import { SuspensionWatch } from './suspension-watch.ts'
import { UnreachableDestinations } from './unreachable.ts'
import { checkedVerp } from './verp-sender.ts'

export interface QueueAssembly {
  readonly capabilities: ReadonlySet<Capability>
  /** Transports that live and die with the queue. */
  readonly children: readonly Lifecycle[]
  readonly dispatcher: Dispatcher
  readonly watch: SuspensionWatch
  readonly operator: Operator
  readonly acceptance: AcceptanceParts
}

/**
 * Puts a queue together. Attempts end when `signal` aborts.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for options that cannot work.
 */
export function assembleQueue(options: MessageQueueOptions, scope: Scope, signal: AbortSignal): QueueAssembly {
  const { store, suppressions, limits = [], limitKeeper = memoryLimits() } = options
  const { environment, events } = scope
  const { clock, random } = environment
  const failing =
    (where: string) =>
    (error: unknown): void =>
      events.emit({ type: 'failure', where, error })
  const { transports, children } = ownTransports(options, scope)
  const leaseMs = positive('lease', milliseconds(options.lease ?? '10m'))
  const router = suppressions === undefined ? options.router : suppressing(options.router, suppressions, clock)
  const verp = options.verp && checkedVerp(options.verp)
  const usual = usualManners(options)
  const rulesOf = destinationRules(options.concurrency, usual, failing('the concurrency of a destination'))
  const recipientLimit = (lane: string): number => rulesOf(lane).recipientLimit
  const report = failing('the retry schedule')
  const retry = usualRules(options, POSTFIX_RULES, report)
  const ids = idMaker(clock, random)
  const parts: AttemptParts = {
    store,
    router,
    transports,
    environment,
    events,
    hostname: options.hostname,
    nextId: () => ids.next(),
    recipientLimit,
    retry,
    rulesFor: exceptionalRules(options.retryExceptions ?? [], retry, new Set(transports.keys()), report),
    responses: responsesOf(options, report),
    unreachable: new UnreachableDestinations(),
    suppressions,
    warnAfterMs: options.warnAfter === undefined ? undefined : milliseconds(options.warnAfter),
    notices: options.notices,
    postmaster: options.postmaster && checkedPostmaster(options.postmaster),
    verp,
  }
  const scheduler = new Scheduler({
    ...usual,
    mannersOf: rulesOf,
    share: positiveShare(options.streamShare ?? 0.8),
    preemption: options.preemption,
    maxAttempts: positive('maxAttempts', options.maxAttempts ?? 100),
    ahead: 50,
    aheadOfAll: 200,
    deadMs: milliseconds(options.deadFor ?? '300s'),
    surveyLimit: 100,
  })
  const applied = limitsOf(limits, failing('the key of a limit'))
  const gateOf = (letGo: (claim: Claim) => void): LimitGate =>
    new LimitGate({ limits: limitKeeper, limitsOf: applied, clock, events, leaseMs, letGo })
  const dispatcher = new Dispatcher(parts, scheduler, leaseMs, { signal }, limits.length > 0 ? gateOf : undefined)
  const watch = new SuspensionWatch({ store, clock, events, apply: (suspensions) => dispatcher.suspend(suspensions) })
  const acceptance: AcceptanceParts = {
    store,
    router,
    environment,
    events,
    recipientLimit,
    streams: {
      streamOf: streamOf(options.streams, failing('the streams')),
      bulkAbove: positive('bulkAbove', options.bulkAbove ?? 10),
    },
    leaseMs,
    verp,
    reserve: (lane) => dispatcher.reserve(lane),
    placed: (placement) => dispatcher.place(placement),
  }
  return {
    capabilities: queueCapabilities(transports.values()),
    children,
    dispatcher,
    watch,
    operator: new Operator({ store, clock, dispatcher, watch, transports }),
    acceptance,
  }
}

/** Transports by name; blocks among them are made. */
function ownTransports(
  options: MessageQueueOptions,
  scope: Scope,
): { readonly transports: ReadonlyMap<string, Transport>; readonly children: readonly Lifecycle[] } {
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
  return { transports, children }
}

function responsesOf(
  { classify = knownResponses, reactions = {}, suppressions }: MessageQueueOptions,
  report: (error: unknown) => void,
): AttemptParts['responses'] {
  const responses = classify === 'none' ? undefined : responseReader(classify, reactions, report)
  if (responses?.suppresses === 'yes' && suppressions === undefined)
    throw new MailwrightError(
      'ERR_MAILWRIGHT_CONFIG',
      'a reaction of the queue suppresses, and there are no suppressions',
    )
  return responses
}

/** How destinations are treated of which nothing else is said. */
function usualManners(options: MessageQueueOptions): DestinationRules {
  return {
    initial: positive('initialConcurrency', options.initialConcurrency ?? 5),
    limit: positive('concurrencyLimit', options.concurrencyLimit ?? 20),
    failedCohortLimit: 1,
    recipientLimit: positive('recipientLimit', options.recipientLimit ?? 50),
    rateDelayMs: 0,
    transportRateDelayMs: 0,
  }
}
