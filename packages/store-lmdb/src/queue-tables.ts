/**
 * Changes of the tables that keep them true to each other: an entry has a row in `due` or in `held`, never both, and a
 * message is there as long as one of its entries is. All of it runs inside a batch or a write transaction of the caller,
 * which makes it one change.
 */
import { claimLane, type MessageId, type NewMessage, type Remainder } from '@mailwright/core'
import type { Counts } from './counts.ts'
import { type Database, type EntryKey, NOTHING } from './database.ts'
import type { LaneBook } from './lane-book.ts'
import type { EntryRow } from './record.ts'
import type { RecordCodec } from './record-codec.ts'

/** An entry and the version under which it was read. */
export interface VersionedRow {
  readonly row: EntryRow
  readonly version: number
}

const FIRST_VERSION = 1

export class QueueTables {
  readonly #db: Database
  readonly #lanes: LaneBook
  readonly #counts: Counts
  readonly #codec: RecordCodec

  constructor(db: Database, lanes: LaneBook, counts: Counts, codec: RecordCodec) {
    this.#db = db
    this.#lanes = lanes
    this.#counts = counts
    this.#codec = codec
  }

  /** @throws CorruptRecord when the row cannot be read. */
  read(message: MessageId, entry: number): VersionedRow | undefined {
    const found = this.#db.entries.getEntry([message, entry])
    // The table keeps a version with every row.
    return found && { row: this.#codec.entry(message, entry, found.value), version: found.version! }
  }

  /** Writes a message nobody has put yet. Counting it is the caller's. */
  insert(id: MessageId, record: Uint8Array, rows: readonly EntryRow[]): void {
    this.#db.messages.put(id, record)
    for (const [entry, row] of rows.entries()) this.#write(id, entry, row, FIRST_VERSION)
  }

  /** Inside a transaction: writes a message unless its id is taken. Answers whether it did. */
  insertNew(message: NewMessage, record: Uint8Array, rows: readonly EntryRow[], size: number): boolean {
    if (this.#db.messages.doesExist(message.id)) return false
    this.insert(message.id, record, rows)
    this.#counts.bytes.change(size)
    for (const row of rows) this.#counts.change(row, 1)
    return true
  }

  /** Removes the only entry of a message, and the message. Counting it is the caller's. */
  removeOnly(id: MessageId, entry: number, row: EntryRow): void {
    this.#db.entries.remove([id, entry])
    this.#unindex(id, entry, row)
    this.#db.messages.remove(id)
  }

  /** Writes a row anew under the next version. Counting it is the caller's. */
  rewrite(id: MessageId, entry: number, last: VersionedRow, next: EntryRow): void {
    this.#unindex(id, entry, last.row)
    this.#write(id, entry, next, last.version + 1)
  }

  /** Inside a transaction: writes a row anew under the next version. */
  replace(id: MessageId, entry: number, last: VersionedRow, next: EntryRow): void {
    this.rewrite(id, entry, last, next)
    this.#counts.change(last.row, -1)
    this.#counts.change(next, 1)
  }

  /** Inside a transaction: other entries take the place of one. Answers their numbers, on from the message's highest. */
  move(id: MessageId, entry: number, last: EntryRow, rows: readonly EntryRow[]): readonly number[] {
    const highest = this.#highest(id, entry)
    this.#db.entries.remove([id, entry])
    this.#unindex(id, entry, last)
    this.#counts.change(last, -1)
    return rows.map((row, index) => {
      const number = highest + 1 + index
      this.#write(id, number, row, FIRST_VERSION)
      this.#counts.change(row, 1)
      return number
    })
  }

  /** Inside a transaction: removes an entry, and the message with its last. */
  remove(id: MessageId, entry: number, row: EntryRow): Remainder {
    this.#db.entries.remove([id, entry])
    this.#unindex(id, entry, row)
    this.#counts.change(row, -1)
    if (row.siblings > 1 && this.#hasEntries(id)) return 'waiting'
    this.#db.messages.remove(id)
    this.#counts.bytes.change(-row.size)
    return 'nothing'
  }

  #write(id: MessageId, entry: number, row: EntryRow, version: number): void {
    this.#db.entries.put([id, entry], this.#codec.sealEntry(id, entry, row), version)
    this.#index(id, entry, row)
  }

  #highest(id: MessageId, entry: number): number {
    const range = { start: [id, Number.MAX_VALUE] as EntryKey, end: [id, entry] as EntryKey, reverse: true, limit: 1 }
    for (const [, highest] of this.#db.entries.getKeys(range)) return highest
    return entry
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
    const lane = claimLane(row)
    this.#db.due.put([lane, row.dueAt, id, entry], NOTHING)
    this.#lanes.cover(lane, row.dueAt)
  }

  #unindex(id: MessageId, entry: number, row: EntryRow): void {
    if (row.held === undefined) this.#db.due.remove([claimLane(row), row.dueAt, id, entry])
    else this.#db.held.remove([row.lane, id, entry])
  }
}
