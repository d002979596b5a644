/**
 * What follows from an attempt's outcomes: who leaves the queue, who is tried again and when, and who must be told.
 * Deferral ends after the message's lifetime: what is then still deferred has failed.
 */
import {
  type Claim,
  type DeferredOutcome,
  type FailedOutcome,
  LOCAL_ERROR,
  type OkOutcome,
  type Outcome,
  type Recipient,
  type RecipientId,
  type RemoteAnswer,
  reply,
  replyLine,
} from '@mailwright/core'
import type { RetrySchedule } from './retry.ts'

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
  /** Whether the destination itself could not be reached. */
  readonly unreachable: boolean
}

export interface FailedRecipient {
  readonly recipient: Recipient
  readonly outcome: FailedOutcome
}

export interface SucceededRecipient {
  readonly recipient: Recipient
  readonly outcome: OkOutcome
}

export interface RetryRules {
  readonly schedule: RetrySchedule
  readonly lifetimeMs: number
  /** For notices: mail of the null sender. */
  readonly bounceLifetimeMs: number
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
): Conclusions {
  const { entry } = claim
  const lifetime = entry.sender === null ? rules.bounceLifetimeMs : rules.lifetimeMs
  // Mail that was to be released later is as old as its release.
  const since = Math.max(entry.arrivedAt, claim.options.notBefore ?? 0)
  const expired = now - since >= lifetime
  const outcomes = new Map<RecipientId, Outcome>()
  const failed: FailedRecipient[] = []
  const deferred: Recipient[] = []
  let succeeded: SucceededRecipient[] | undefined
  let notBefore = 0
  let unreachable = false
  for (const recipient of entry.recipients) {
    const said = answered.get(recipient.id) ?? NO_OUTCOME
    if (said.status === 'deferred' && said.scope === 'destination') unreachable = true
    const outcome = said.status === 'deferred' && expired ? expire(said) : said
    outcomes.set(recipient.id, outcome)
    if (outcome.status === 'failed') failed.push({ recipient, outcome })
    else if (outcome.status === 'deferred') {
      deferred.push(recipient)
      notBefore = Math.max(notBefore, outcome.notBefore ?? 0)
    } else if (recipient.notify?.includes('success') === true && isOursToReport(outcome)) {
      succeeded ??= []
      succeeded.push({ recipient, outcome })
    }
  }
  const wait = deferred.length === 0 ? 0 : rules.schedule({ now, arrivedAt: since, attempt: entry.attempts + 1 })
  // However long a server asks us to wait, the mail is looked at when its time is over.
  const retryAt = Math.max(now + wait, Math.min(notBefore, since + lifetime))
  return {
    outcomes,
    failed,
    succeeded: succeeded ?? NOBODY,
    deferred,
    retryAt,
    expiresAt: since + lifetime,
    unreachable,
  }
}

/** A server with DSN reports what it is given, and so does another queue (RFC 3461 §5.2.1, §5.2.2). */
function isOursToReport({ action, reportedBy }: OkOutcome): boolean {
  return reportedBy === undefined && action !== 'queued'
}

/** RFC 3463 X.4.7: delivery time expired. The last answer is kept: it is why. */
function expire(deferral: DeferredOutcome): FailedOutcome {
  const remote: { remote?: RemoteAnswer } = deferral.remote === undefined ? {} : { remote: deferral.remote }
  return {
    status: 'failed',
    reply: reply(550, '5.4.7', `Delivery time expired; last: ${replyLine(deferral.reply)}`),
    ...remote,
  }
}
