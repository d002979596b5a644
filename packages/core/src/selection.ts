/** Which entries an operator means: the one reading of `Selection`, shared by every store. */
import type { Labels } from './envelope.ts'
import { formatMailbox } from './mailbox.ts'
import { destinationKey } from './router.ts'
import type { EntryStatus, QueueEntry, Selection } from './store.ts'

/** Where an entry stands. */
export function entryStatus({
  held,
  claimed,
  attempts,
}: Pick<QueueEntry, 'held' | 'claimed' | 'attempts'>): EntryStatus {
  if (held !== undefined) return 'held'
  if (claimed) return 'claimed'
  return attempts > 0 ? 'deferred' : 'waiting'
}

/** The lane of entries with an instruction: no destination, so that it is never dead nor suspended. */
export const INSTRUCTED_LANE = 'operator:'

/** The lane from which an entry is claimed: its own, or while it has an instruction the one for those. */
export function claimLane({ lane, instruction }: Pick<QueueEntry, 'lane' | 'instruction'>): string {
  return instruction === undefined ? lane : INSTRUCTED_LANE
}

/**
 * Whether all conditions of the selection hold for the entry. A recipient condition holds when it holds for any
 * recipient still to be served.
 *
 * @example
 * isSelected({ recipient: '@example.com', held: true }, entry)
 */
export function isSelected(selection: Selection, entry: QueueEntry): boolean {
  const { messages, entries, lane, held, status, labels, arrivedBefore, arrivedSince, atLeast, atMost } = selection
  if (messages !== undefined && !messages.includes(entry.message)) return false
  if (entries?.some((each) => each.message === entry.message && each.entry === entry.entry) === false) return false
  if (lane !== undefined && lane !== entry.lane && lane !== destinationKey(entry.lane)) return false
  if (held !== undefined && held !== (entry.held !== undefined)) return false
  if (status !== undefined && status !== entryStatus(entry)) return false
  if (arrivedBefore !== undefined && entry.arrivedAt >= arrivedBefore) return false
  if (arrivedSince !== undefined && entry.arrivedAt < arrivedSince) return false
  if (atLeast !== undefined && entry.size < atLeast) return false
  if (atMost !== undefined && entry.size > atMost) return false
  if (labels !== undefined && !hasLabels(entry.labels, labels)) return false
  return hasSender(selection, entry) && hasRecipient(selection, entry) && hasReply(selection, entry)
}

function hasLabels(labels: Labels | undefined, wanted: Labels): boolean {
  return Object.entries(wanted).every(([label, value]) => labels?.[label] === value)
}

function hasSender({ sender }: Selection, entry: QueueEntry): boolean {
  return sender === undefined || sender.toLowerCase() === formatMailbox(entry.sender).toLowerCase()
}

function hasRecipient({ recipient }: Selection, { recipients }: QueueEntry): boolean {
  if (recipient === undefined) return true
  const wanted = recipient.toLowerCase()
  return recipients.some(({ address }) =>
    wanted.startsWith('@')
      ? `@${address.domain.toLowerCase()}` === wanted
      : formatMailbox(address).toLowerCase() === wanted,
  )
}

function hasReply({ lastReply }: Selection, { recipients }: QueueEntry): boolean {
  if (lastReply === undefined) return true
  const wanted = lastReply.toLowerCase()
  return recipients.some((recipient) => recipient.lastReply?.toLowerCase().includes(wanted) === true)
}
