/** What a settlement leaves of an entry: the one reading of `Settlement.outcomes`, shared by every store. */
import type { RecipientId } from './envelope.ts'
import type { DeferredOutcome, Outcome } from './outcome.ts'
import { replyLine, wireText } from './reply.ts'
import type { PendingRecipient } from './store.ts'

/** Those who stay: the deferred, each with what was said of it, and those no outcome names, as they were. */
export function remainingRecipients(
  recipients: readonly PendingRecipient[],
  outcomes: ReadonlyMap<RecipientId, Outcome>,
): readonly PendingRecipient[] {
  const remaining: PendingRecipient[] = []
  for (const recipient of recipients) {
    const outcome = outcomes.get(recipient.id)
    if (outcome === undefined) remaining.push(recipient)
    else if (outcome.status === 'deferred') remaining.push({ ...recipient, lastReply: deferralText(outcome) })
  }
  return remaining
}

/** A deferral in one line: what they answered where they did, otherwise what we say. */
export function deferralText(outcome: DeferredOutcome): string {
  const { remote } = outcome
  if (remote === undefined) return replyLine(outcome.reply)
  const text = remote.lines.join(' ')
  const enhanced = remote.enhanced === undefined || text.startsWith(remote.enhanced) ? '' : `${remote.enhanced} `
  return wireText(`${remote.code} ${enhanced}${text}`)
}
