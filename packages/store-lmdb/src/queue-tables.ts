/**
 * Changes of the tables that keep them true to each other: an entry has a row in `due` or in `held`, never both, and a
 * message is there as long as one of its entries is. All of it runs inside a batch or a write transaction of the caller,
 * which makes it one change.
 */
import type { MessageId, NewMessage, Remainder } from '@mailwright/core'
import { type Database, NOTHING } from './database.ts'
import type { LaneBook } from './lane-book.ts'
import { decodeEntry, type EntryRow, encodeEntry } from './record.ts'
import type { Totals } from './totals.ts'

/** An entry and the version under which it was read. */
export interface VersionedRow {
  readonly row: EntryRow
  readonly version: number
}

export class QueueTables {
  readonly #db: Database
  readonly #lanes: LaneBook
  readonly #totals: Totals

  constructor(db: Database, lanes: LaneBook, totals: Totals) {
    this.#db = db
    this.#lanes = lanes
    this.#totals = totals
  }

  /** @throws CorruptRecord when the row cannot be read. */
  read(message: MessageId, entry: number): VersionedRow | undefined {
    const found = this.#db.entries.getEntry([message, entry])
    // The table keeps a version with every row.
    return found && { row: decodeEntry(found.value), version: found.version! }
  }

  /** Writes a message nobody has put yet. Counting its bytes is the caller's. */
  insert(id: MessageId, record: Uint8Array, rows: readonly EntryRow[]): void {
    this.#db.messages.put(id, record)
    for (const [entry, row] of rows.entries()) {
      this.#db.entries.put([id, entry], encodeEntry(row), 1)
      this.#index(id, entry, row)
    }
  }

  /** Inside a transaction: writes a message unless its id is taken. Answers whether it did. */
  insertNew(message: NewMessage, record: Uint8Array, rows: readonly EntryRow[], size: number): boolean {
    if (this.#db.messages.doesExist(message.id)) return false
    this.insert(message.id, record, rows)
    this.#totals.change(size)
    return true
  }

  /** Removes the only entry of a message, and the message. Counting its bytes is the caller's. */
  removeOnly(id: MessageId, row: EntryRow): void {
    this.#db.entries.remove([id, 0])
    this.#unindex(id, 0, row)
    this.#db.messages.remove(id)
  }

  /** Inside a transaction: writes a row anew under the next version. */
  replace(id: MessageId, entry: number, last: VersionedRow, next: EntryRow): void {
    this.#unindex(id, entry, last.row)
    this.#db.entries.put([id, entry], encodeEntry(next), last.version + 1)
    this.#index(id, entry, next)
  }

  /** Inside a transaction: removes an entry, and the message with its last. */
  remove(id: MessageId, entry: number, row: EntryRow): Remainder {
    this.#db.entries.remove([id, entry])
    this.#unindex(id, entry, row)
    if (row.siblings > 1 && this.#hasEntries(id)) return 'waiting'
    this.#db.messages.remove(id)
    this.#totals.change(-row.size)
    return 'nothing'
  }

  #hasEntries(id: MessageId): boolean {
    for (const _ of this.#db.entries.getKeys({ start: [id, 0], end: [id, Number.MAX_VALUE], limit: 1 })) return true
    return false
  }

  #index(id: MessageId, entry: number, row: EntryRow): void {
    if (row.held !== undefined) {
      this.#db.held.put([row.lane, id, entry], NOTHING)
      return
    }
    this.#db.due.put([row.lane, row.dueAt, id, entry], NOTHING)
    this.#lanes.cover(row.lane, row.dueAt)
  }

  #unindex(id: MessageId, entry: number, row: EntryRow): void {
    if (row.held === undefined) this.#db.due.remove([row.lane, row.dueAt, id, entry])
    else this.#db.held.remove([row.lane, id, entry])
  }
}
