/** Mail as rows of the database, and rows as the queue wants them. */
import type { DatabaseSync, SQLOutputValue } from 'node:sqlite'
import {
  claimLane,
  type Instruction,
  type MailOptions,
  type MessageSource,
  type NewEntry,
  type NewMessage,
  type PendingRecipient,
  type QueueEntry,
} from 'mailwright'

/** A row of `mail_entry` with what the queue wants to know of its `mail`. */
export interface StoredEntry {
  readonly entry: QueueEntry
  readonly options: MailOptions
  readonly token: string | undefined
}

type Row = Readonly<Record<string, SQLOutputValue>>

/** To be completed by a condition. */
export const SELECT_ENTRIES = `
  SELECT e.*, m.sender, m.options, m.arrived_at, m.size FROM mail_entry e JOIN mail m ON m.id = e.mail`
/** Not held, and in nobody's hands. */
export const CLAIMABLE = 'held IS NULL AND (token IS NULL OR lease_over = 1)'

const optional = (value: SQLOutputValue | undefined): string | undefined => (value === null ? undefined : String(value))

export function storedEntry(row: Row): StoredEntry {
  const options = JSON.parse(String(row.options)) as MailOptions
  const instruction = optional(row.instruction)
  const token = optional(row.token)
  const entry: QueueEntry = {
    message: String(row.mail),
    entry: Number(row.number),
    lane: String(row.lane),
    sender: JSON.parse(String(row.sender)) as QueueEntry['sender'],
    recipients: JSON.parse(String(row.recipients)) as readonly PendingRecipient[],
    size: Number(row.size),
    arrivedAt: Number(row.arrived_at),
    dueAt: Number(row.due_at),
    attempts: Number(row.attempts),
    held: optional(row.held),
    instruction: instruction === undefined ? undefined : (JSON.parse(instruction) as Instruction),
    warned: row.warned === 1 ? true : undefined,
    labels: options.labels,
    claimed: token !== undefined && row.lease_over === 0,
  }
  return { entry, options, token }
}

/** The message itself; undefined when it is gone. */
export function storedMessage(db: DatabaseSync, id: string): MessageSource | undefined {
  const row = db.prepare('SELECT head, body FROM mail WHERE id = ?').get(id)
  return row && inMemory(row.head as Uint8Array, row.body as Uint8Array)
}

export function inMemory(head: Uint8Array, body: Uint8Array): MessageSource {
  return {
    head,
    size: head.length + body.length,
    buffered: body,
    async *body(call): AsyncGenerator<Uint8Array> {
      call.signal.throwIfAborted()
      if (body.length > 0) yield body
    },
  }
}

/** Adds a message and its entries, unless it is there already. Wants a transaction. */
export function insertMail(
  db: DatabaseSync,
  message: NewMessage,
  head: Uint8Array,
  body: Uint8Array,
): 'added' | 'known' {
  const { id, sender, options, arrivedAt, entries } = message
  const { changes } = db
    .prepare('INSERT INTO mail VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING')
    .run(id, JSON.stringify(sender), JSON.stringify(options), arrivedAt, head, body, head.length + body.length)
  if (changes === 0) return 'known'
  for (const [number, entry] of entries.entries())
    insertEntry(db, { ...entry, message: id, entry: number, attempts: 0 })
  return 'added'
}

/** What an entry begins with; `attempts` and `warned` it may have from where it was before. */
export type EntryToInsert = NewEntry & Pick<QueueEntry, 'message' | 'entry' | 'attempts' | 'warned'>

export function insertEntry(db: DatabaseSync, entry: EntryToInsert): void {
  const { message, lane, recipients, dueAt, attempts, held = null, warned } = entry
  db.prepare(
    `INSERT INTO mail_entry (mail, number, lane, claim_lane, recipients, due_at, attempts, held, warned)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  ).run(message, entry.entry, lane, lane, JSON.stringify(recipients), dueAt, attempts, held, warned ? 1 : null)
}

/** Writes down what has become of an entry. */
export function updateEntry(db: DatabaseSync, entry: QueueEntry): void {
  const { message, recipients, dueAt, attempts, held = null, instruction, warned } = entry
  db.prepare(
    `UPDATE mail_entry SET claim_lane = ?, recipients = ?, due_at = ?, attempts = ?, held = ?, instruction = ?, warned = ?
     WHERE mail = ? AND number = ?`,
  ).run(
    ...[claimLane(entry), JSON.stringify(recipients), dueAt, attempts, held],
    ...[instruction === undefined ? null : JSON.stringify(instruction), warned ? 1 : null, message, entry.entry],
  )
}

/** Removes an entry, and its message with the last of them. */
export function deleteEntry(db: DatabaseSync, { message, entry }: QueueEntry): void {
  db.prepare('DELETE FROM mail_entry WHERE mail = ? AND number = ?').run(message, entry)
  db.prepare('DELETE FROM mail WHERE id = ? AND NOT EXISTS (SELECT 1 FROM mail_entry WHERE mail = id)').run(message)
}
