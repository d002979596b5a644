/** Mail whose time is over: RFC 3463 X.4.7. The last answer is kept: it is why. */
import {
  type Claim,
  type DeferredOutcome,
  type FailedOutcome,
  type Outcome,
  type RecipientId,
  type RemoteAnswer,
  reply,
  replyLine,
} from '@mailwright/core'

/** How much of the last answer a failure repeats. */
const KEPT_ANSWER = 1_000

/** A deferral that came too late. */
export function expired(deferral: DeferredOutcome): FailedOutcome {
  const remote: { remote?: RemoteAnswer } = deferral.remote === undefined ? {} : { remote: deferral.remote }
  return { ...timeOver(replyLine(deferral.reply)), ...remote }
}

/** What becomes of an entry that is not even tried: each recipient fails with what was last said of it, or `otherwise`. */
export function expiredUntried({ entry }: Claim, otherwise: DeferredOutcome | undefined): Map<RecipientId, Outcome> {
  const outcomes = new Map<RecipientId, Outcome>()
  for (const { id, lastReply } of entry.recipients) {
    if (lastReply !== undefined) outcomes.set(id, timeOver(lastReply))
    else outcomes.set(id, otherwise === undefined ? timeOver(undefined) : expired(otherwise))
  }
  return outcomes
}

function timeOver(last: string | undefined): FailedOutcome {
  const text = last === undefined ? '' : `; last: ${last.slice(0, KEPT_ANSWER).toWellFormed()}`
  return { status: 'failed', reply: reply(550, '5.4.7', `Delivery time expired${text}`) }
}
