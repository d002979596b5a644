/**
 * What follows from an attempt's outcomes: who leaves the queue, who is tried again and when, and who must be told.
 * Deferral ends after the message's lifetime: what is then still deferred has failed.
 *
 * Where answers are read, a reaction may turn a refusal into a deferral or the other way, wait otherwise, leave the lane
 * alone, or suppress a recipient that has failed.
 */
import {
  type Claim,
  type DeferredOutcome,
  type Environment,
  type Events,
  type FailedOutcome,
  LOCAL_ERROR,
  type OkOutcome,
  type Outcome,
  type Recipient,
  type RecipientId,
  type ResponseCategory,
} from '@mailwright/core'
import type { PreparedReaction, Reading, ResponseReader } from './classification.ts'
import { expired } from './expiry.ts'
import { ageFrom, expiryOf, lookAgainBy } from './lifetime.ts'
import { asDeferral, asFailure } from './reaction.ts'
import type { RetryRules } from './retry-rules.ts'

export type { RetryRules } from './retry-rules.ts'

/** The conclusions of an attempt. */
export interface Conclusions {
  readonly outcomes: ReadonlyMap<RecipientId, Outcome>
  readonly failed: readonly FailedRecipient[]
  /** Those of whose success the sender wants to hear from us. */
  readonly succeeded: readonly SucceededRecipient[]
  readonly deferred: readonly Recipient[]
  readonly retryAt: number
  /** When what is deferred is given up, ms since the epoch. */
  readonly expiresAt: number
  /** What came of it, where the destination itself could not be reached. */
  readonly unreachable: DeferredOutcome | undefined
  /** What was read of refusals and deferrals, where somebody reads them. */
  readonly categories: ReadonlyMap<RecipientId, ResponseCategory> | undefined
  /** Until when the lane is to be left alone. */
  readonly pausedUntil: number | undefined
}

export interface FailedRecipient {
  readonly recipient: Recipient
  readonly outcome: FailedOutcome
  /** For how long it is not to be written to, ms; infinity: for good. */
  readonly suppressMs?: number
}

export interface SucceededRecipient {
  readonly recipient: Recipient
  readonly outcome: OkOutcome
}

/** What conclusions are drawn with. */
export interface ConcludingParts {
  readonly environment: Pick<Environment, 'random'>
  readonly events: Pick<Events, 'wants'>
  /** Absent: answers are not read. */
  readonly responses?: ResponseReader | undefined
}

const NOBODY: readonly SucceededRecipient[] = []
const NO_OUTCOME: DeferredOutcome = {
  status: 'deferred',
  scope: 'message',
  reply: LOCAL_ERROR,
  cause: 'the transport gave no outcome',
}

/** Reads the outcomes of an attempt at `claim`, at the time `now`. A recipient without outcome counts as deferred. */
export function conclude(
  claim: Claim,
  answered: ReadonlyMap<RecipientId, Outcome>,
  now: number,
  rules: RetryRules,
  parts: ConcludingParts,
): Conclusions {
  const { entry } = claim
  const expiresAt = expiryOf(claim, rules)
  const isExpired = now >= expiresAt
  const { random } = parts.environment
  const outcomes = new Map<RecipientId, Outcome>()
  const failed: FailedRecipient[] = []
  const deferred: Recipient[] = []
  let succeeded: SucceededRecipient[] | undefined
  let categories: Map<RecipientId, ResponseCategory> | undefined
  let unreachable: DeferredOutcome | undefined
  let notBefore = 0
  let wait = 0
  let pauseMs = 0
  // Recipients often share one outcome: it is read once.
  let readOutcome: Outcome | undefined
  let reading: Reading | undefined
  for (const recipient of entry.recipients) {
    const said = answered.get(recipient.id) ?? NO_OUTCOME
    if (said.status === 'ok') {
      outcomes.set(recipient.id, said)
      if (isOursToReport(claim, recipient, said)) {
        succeeded ??= []
        succeeded.push({ recipient, outcome: said })
      }
      continue
    }
    if (said.status === 'deferred' && said.scope === 'destination') unreachable = said
    const responses = readerFor(parts)
    if (responses !== undefined) {
      if (said !== readOutcome) reading = responses.read(said)
      readOutcome = said
      categories ??= new Map()
      categories.set(recipient.id, reading!.category)
    }
    const reaction = reading?.reaction
    const outcome = judged(said, reaction, isExpired ? 'expired' : 'in time')
    outcomes.set(recipient.id, outcome)
    if (reaction !== undefined) pauseMs = Math.max(pauseMs, reaction.pauseMs)
    if (outcome.status === 'failed') failed.push(failure(recipient, outcome, reaction))
    else {
      deferred.push(recipient)
      notBefore = Math.max(notBefore, outcome.notBefore ?? 0)
      const schedule = reaction?.schedule ?? rules.schedule
      // One of several who should wait longer keeps the others: an entry has one time.
      wait = Math.max(wait, schedule({ now, arrivedAt: ageFrom(claim), attempt: entry.attempts + 1, random }))
    }
  }
  // However long a server or a schedule makes it wait, the mail is looked at when its time is over.
  const latest = Math.max(now, lookAgainBy(claim, expiresAt, now))
  return {
    outcomes,
    failed,
    succeeded: succeeded ?? NOBODY,
    deferred,
    retryAt: deferred.length === 0 ? now : Math.min(Math.max(now + wait, notBefore), latest),
    expiresAt,
    unreachable,
    categories,
    pausedUntil: pauseMs === 0 ? undefined : now + pauseMs,
  }
}

/** Answers are read where something is to be done about them, or somebody hears what they are about. */
function readerFor({ responses, events }: ConcludingParts): ResponseReader | undefined {
  return responses?.reacts === 'yes' || events.wants('recipient.settled') ? responses : undefined
}

/** A server with DSN reports what it is given, and so does another queue (RFC 3461 §5.2.1, §5.2.2). */
function isOursToReport({ options }: Claim, { notify }: Recipient, { action, reportedBy }: OkOutcome): boolean {
  if (options.deliverBy?.trace === true && action === 'relayed') return notify?.includes('never') !== true
  return notify?.includes('success') === true && reportedBy === undefined && action !== 'queued'
}

/** The outcome that counts. Whoever is past his time is not helped by a deferral. */
function judged(
  said: DeferredOutcome | FailedOutcome,
  reaction: PreparedReaction | undefined,
  time: 'expired' | 'in time',
): DeferredOutcome | FailedOutcome {
  if (said.status === 'failed') return reaction?.as === 'deferral' && time === 'in time' ? asDeferral(said) : said
  if (reaction?.as === 'failure') return asFailure(said)
  return time === 'expired' ? expired(said) : said
}

function failure(
  recipient: Recipient,
  outcome: FailedOutcome,
  reaction: PreparedReaction | undefined,
): FailedRecipient {
  const suppressMs = reaction?.suppressMs ?? 0
  return suppressMs === 0 ? { recipient, outcome } : { recipient, outcome, suppressMs }
}
