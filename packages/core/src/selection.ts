/** Which entries an operator means: the one reading of `Selection`, shared by every store. */
import { formatMailbox } from './mailbox.ts'
import type { QueueEntry, Selection } from './store.ts'

/**
 * Whether all conditions of the selection hold for the entry. A recipient condition holds when it holds for any
 * recipient still to be served.
 *
 * @example
 * isSelected({ recipient: '@example.com', held: true }, entry)
 */
export function isSelected(
  selection: Selection,
  entry: Pick<QueueEntry, 'message' | 'lane' | 'sender' | 'recipients' | 'held'>,
): boolean {
  const { messages, lane, sender, recipient, held } = selection
  if (messages !== undefined && !messages.includes(entry.message)) return false
  if (lane !== undefined && lane !== entry.lane) return false
  if (held !== undefined && held !== (entry.held !== undefined)) return false
  if (sender !== undefined && sender.toLowerCase() !== formatMailbox(entry.sender).toLowerCase()) return false
  if (recipient === undefined) return true
  const wanted = recipient.toLowerCase()
  return entry.recipients.some(({ address }) =>
    wanted.startsWith('@')
      ? `@${address.domain.toLowerCase()}` === wanted
      : formatMailbox(address).toLowerCase() === wanted,
  )
}
