/** What the memory store keeps of a message, and what an entry's fields mean. */
import type { Instruction, MessageId, MessageSource, NewMessage, PendingRecipient, QueueEntry } from '@mailwright/core'

export interface StoredMessage {
  readonly id: MessageId
  readonly about: NewMessage
  readonly source: MessageSource
  readonly entries: Set<StoredEntry>
}

export interface StoredEntry {
  readonly message: StoredMessage
  readonly number: number
  readonly lane: string
  recipients: readonly PendingRecipient[]
  dueAt: number
  attempts: number
  held: string | undefined
  instruction: Instruction | undefined
  warned: true | undefined
  lease: Lease | undefined
}

/** A lease that ended may be claimed by another; until then its holder may still settle. */
export interface Lease {
  readonly token: string
  until: number
  ended: boolean
}

/** Whether somebody is delivering it now. */
export function isClaimed(entry: StoredEntry): boolean {
  return entry.lease !== undefined && !entry.lease.ended
}

/** Whether it may be claimed, apart from when it is due. */
export function isClaimable(entry: StoredEntry): boolean {
  return entry.held === undefined && !isClaimed(entry)
}

/** When the first claimable entry is due; infinity when there is none. */
export function earliest(entries: ReadonlySet<StoredEntry>): number {
  let first = Number.POSITIVE_INFINITY
  for (const entry of entries) if (isClaimable(entry)) first = Math.min(first, entry.dueAt)
  return first
}

/** By message id, and by number within a message. */
export function inListingOrder(one: StoredEntry, other: StoredEntry): number {
  if (one.message.id !== other.message.id) return one.message.id < other.message.id ? -1 : 1
  return one.number - other.number
}

/** The entry as callers see it. */
export function describe(entry: StoredEntry): QueueEntry {
  const { message, number, lane, recipients, dueAt, attempts, held, instruction, warned } = entry
  const { sender, arrivedAt, options } = message.about
  return {
    message: message.id,
    entry: number,
    lane,
    sender,
    recipients,
    size: message.source.size,
    arrivedAt,
    dueAt,
    attempts,
    held,
    instruction,
    warned,
    labels: options.labels,
    claimed: isClaimed(entry),
  }
}
