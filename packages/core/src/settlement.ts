/** What a settlement leaves of an entry, and where: the one reading of `Settlement`, shared by every store. */
import type { RecipientId } from './envelope.ts'
import { MailwrightError } from './errors.ts'
import type { DeferredOutcome, FailedOutcome, Outcome } from './outcome.ts'
import { replyLine, wireText } from './reply.ts'
import type { NewEntry, PendingRecipient } from './store.ts'

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

/** A new entry for recipients of whom something was said before. */
export interface MovedEntry extends NewEntry {
  readonly recipients: readonly PendingRecipient[]
}

/**
 * Where those who stay go on, each with what was last said of it. Somebody who is new, such as a member of an alias, may
 * go with them.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_STORE` when one of them would be lost, or go on twice.
 */
export function movedEntries(
  remaining: readonly PendingRecipient[],
  moved: readonly NewEntry[],
): readonly MovedEntry[] {
  const left = new Map(remaining.map((recipient) => [recipient.id, recipient]))
  const seen = new Set<RecipientId>()
  const entries = moved.map((entry) => ({
    ...entry,
    recipients: entry.recipients.map((recipient): PendingRecipient => {
      if (seen.has(recipient.id))
        throw new MailwrightError('ERR_MAILWRIGHT_STORE', `recipient ${recipient.id} would go on twice`)
      seen.add(recipient.id)
      const lastReply = left.get(recipient.id)?.lastReply
      return lastReply === undefined ? recipient : { ...recipient, lastReply }
    }),
  }))
  for (const id of left.keys())
    if (!seen.has(id)) throw new MailwrightError('ERR_MAILWRIGHT_STORE', `recipient ${id} would be lost`)
  return entries
}

/** How much of an answer is kept: a server may say 128 long lines. */
const KEPT_TEXT = 1_000

/** A deferral or failure in one line of at most 1,000 characters: what they answered where they did, otherwise what we say. */
export function deferralText({ remote, reply }: Pick<DeferredOutcome | FailedOutcome, 'reply' | 'remote'>): string {
  if (remote === undefined) return shortened(replyLine(reply))
  const [first = ''] = remote.lines
  const { code, enhanced } = remote
  let text = enhanced === undefined || first.startsWith(enhanced) ? `${code}` : `${code} ${enhanced}`
  for (const line of remote.lines) {
    text += ` ${line}`
    if (text.length >= KEPT_TEXT) break
  }
  return wireText(shortened(text))
}

function shortened(text: string): string {
  return text.length <= KEPT_TEXT ? text : text.slice(0, KEPT_TEXT).toWellFormed()
}
