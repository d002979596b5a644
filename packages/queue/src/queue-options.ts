/** What a host may say of its queue, and what cannot work. */
import {
  type Block,
  type Duration,
  type Limits,
  MailwrightError,
  type QueueStore,
  type Router,
  type SuppressionList,
  type Transport,
} from '@mailwright/core'
import type { Reactions, ResponseRule } from './classification.ts'
import type { ConcurrencyTable } from './destination-rules.ts'
import { ERROR_TRANSPORT } from './error-lane.ts'
import type { PreemptionRules } from './job-list.ts'
import type { LimitRule } from './limit-rules.ts'
import type { NoticeOptions } from './notice-style.ts'
import type { PostmasterOptions } from './postmaster.ts'
import type { RetryException, RetryOptions } from './retry-rules.ts'
import type { StreamsOption } from './streams.ts'
import type { VerpOptions } from './verp-sender.ts'

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
  /** How big messages and streams let small ones pass. Default `EVEN_PREEMPTION`; `POSTFIX_PREEMPTION` is Postfix's. */
  readonly preemption?: PreemptionRules
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
  /** How long an attempt owns its entry without renewal. Default 10 min. */
  readonly lease?: Duration
}

/** The value, which must be at least 1. */
export function positive(option: string, value: number): number {
  if (value >= 1 && Number.isFinite(value)) return value
  throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `${option} of the queue must be at least 1, not ${value}`)
}

/** The value, which must be a part of a whole. */
export function positiveShare(value: number): number {
  if (value > 0 && value <= 1) return value
  throw new MailwrightError(
    'ERR_MAILWRIGHT_CONFIG',
    `streamShare of the queue must be above 0 and at most 1, not ${value}`,
  )
}

/** A lane is written `transport:destination`, and `error` is where refused recipients go. */
export function assertTransportName(name: string): void {
  if (name === '' || /[:/]/.test(name) || name === ERROR_TRANSPORT)
    throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `not a name for a transport of the queue: ${name}`)
}
