/**
 * What an operator sees and does. A change goes piece by piece: each is one short transaction, in which every entry is
 * read again and changed if it is still meant, and between them mail is taken. When storage fails half way, what was done
 * is done; doing it again is safe.
 */
import {
  claimLane,
  type EntriesQuery,
  INSTRUCTED_LANE,
  type Instruction,
  type LaneShape,
  type MessageId,
  type MessageSource,
  type QueueEntry,
  type QueueStats,
  type Selection,
  type ShapeQuery,
} from '@mailwright/core'

import { dropLease } from './claiming.ts'
import { rowCount } from './database.ts'
import { isWanted, type Scanned, type ScannedEntry, scanEntries } from './entry-scan.ts'
import { countLanes, readShape } from './lane-shape.ts'
import type { Lease } from './leases.ts'
import { assertEntry, assertTime } from './options.ts'
import type { VersionedRow } from './queue-tables.ts'
import { CorruptRecord, describeEntry, type EntryRow } from './record.ts'
import type { StoreParts } from './store-parts.ts'

/** How long a transaction of a change lasts, in ms: mail that arrives waits for its end. */
const TRANSACTION_MS = 20
/** Entries changed between looks at the clock. */
const STRIDE = 16

/** What to do when a part of a change is committed. */
interface Changed {
  readonly lanes: Set<string>
  readonly files: string[]
  readonly leases: Lease[]
  count: number
}

export class Operating {
  readonly #parts: StoreParts
  readonly #scanned: Scanned

  constructor(parts: StoreParts) {
    const { codec, db, leases, quarantine } = parts
    this.#parts = parts
    this.#scanned = {
      db,
      codec,
      isClaimed: (message, entry) => leases.has(message, entry),
      corrupt: (message, entry, problem) => quarantine.entry(message, entry, problem),
    }
  }

  async entries({ selection = {}, limit, after }: EntriesQuery): Promise<readonly QueueEntry[]> {
    const found: QueueEntry[] = []
    for await (const page of this.#scan(selection, limit, after && [after.message, after.entry]))
      for (const { message, entry, row } of page) {
        if (found.length >= limit) return found
        found.push(describeEntry(message, entry, row, this.#parts.leases.has(message, entry)))
      }
    return found
  }

  read(message: MessageId): MessageSource | undefined {
    try {
      return this.#parts.messages.find(message)?.source
    } catch (error) {
      if (!(error instanceof CorruptRecord)) throw error
      this.#parts.quarantine.message(message, error.message)
      return undefined
    }
  }

  async hold(selection: Selection, reason: string): Promise<number> {
    if (selection.held === true) return 0
    return this.#change({ ...selection, held: false }, (row) => ({ ...row, held: reason }))
  }

  async release(selection: Selection, now: number): Promise<number> {
    assertTime(now)
    if (selection.held === false) return 0
    return this.#change({ ...selection, held: true }, (row) => ({ ...row, held: undefined, dueAt: now }))
  }

  async reschedule(selection: Selection, dueAt: number): Promise<number> {
    assertTime(dueAt)
    return this.#change(selection, (row) => ({ ...row, dueAt }))
  }

  async instruct(selection: Selection, instruction: Instruction, now: number): Promise<number> {
    assertEntry({ lane: instruction.kind === 'reroute' ? instruction.lane : INSTRUCTED_LANE, dueAt: now })
    return this.#change(selection, (row) => ({ ...row, instruction, dueAt: now }))
  }

  async remove(selection: Selection): Promise<number> {
    return this.#change(selection, () => undefined)
  }

  async shape(query: ShapeQuery): Promise<readonly LaneShape[]> {
    const { db } = this.#parts
    return rowCount(db.entries) === 0 ? [] : readShape(db, query)
  }

  async stats(): Promise<QueueStats> {
    const { counts, db, leases } = this.#parts
    const entries = rowCount(db.entries)
    // Counts may be left of entries that could not be read.
    const lanes = entries === 0 ? 0 : await countLanes(db)
    // Ids are in order of arrival.
    const [first] = await this.entries({ limit: 1 })
    return {
      messages: rowCount(db.messages),
      entries,
      held: rowCount(db.held),
      deferred: Math.max(0, Math.min(entries, counts.deferred.read())),
      claimed: leases.live,
      bytes: counts.bytes.read(),
      lanes,
      oldest: first?.arrivedAt,
    }
  }

  #scan(selection: Selection, limit: number, after?: [MessageId, number]): AsyncGenerator<readonly ScannedEntry[]> {
    return scanEntries(this.#scanned, selection, limit, after)
  }

  /** Writes what `next` makes of each selected entry, or removes it where that is nothing. */
  async #change(selection: Selection, next: (row: EntryRow) => EntryRow | undefined): Promise<number> {
    let changed = 0
    for await (const page of this.#scan(selection, Number.POSITIVE_INFINITY)) {
      let start = 0
      while (start < page.length) {
        const { done, end } = await this.#parts.transaction(() => this.#changeSome(selection, page, start, next))
        await this.#conclude(done)
        changed += done.count
        start = end
      }
    }
    return changed
  }

  /** Changes what it can of a page in the time of one transaction. Answers where it stopped. */
  #changeSome(
    selection: Selection,
    page: readonly ScannedEntry[],
    start: number,
    next: (row: EntryRow) => EntryRow | undefined,
  ): { readonly done: Changed; readonly end: number } {
    const done: Changed = { lanes: new Set(), files: [], leases: [], count: 0 }
    const until = performance.now() + TRANSACTION_MS
    let at = start
    for (; at < page.length; at++) {
      if (at % STRIDE === 0 && at > start && performance.now() > until) break
      const { message, entry } = page[at]!
      const current = this.#parts.tables.read(message, entry)
      if (current === undefined || !this.#isWanted(selection, message, entry, current.row)) continue
      this.#write(message, entry, current, next(current.row), done)
      done.count += 1
    }
    return { done, end: at }
  }

  #isWanted(selection: Selection, message: MessageId, entry: number, row: EntryRow): boolean {
    return isWanted(selection, { message, entry, row }, this.#scanned.isClaimed)
  }

  async #conclude({ lanes, leases, files }: Changed): Promise<void> {
    for (const lane of lanes) this.#parts.lanes.forgetLane(lane)
    for (const lease of leases) dropLease(this.#parts, lease)
    for (const file of files) await this.#parts.files.remove(file)
  }

  #write(message: MessageId, entry: number, current: VersionedRow, next: EntryRow | undefined, done: Changed): void {
    const { cache, leases, tables } = this.#parts
    done.lanes.add(claimLane(current.row))
    if (next !== undefined) {
      done.lanes.add(claimLane(next))
      tables.replace(message, entry, current, next)
      return
    }
    const { file } = current.row
    const remainder = tables.remove(message, entry, current.row)
    if (remainder === 'nothing' && file !== undefined) done.files.push(file)
    if (remainder === 'nothing') cache.remove(message)
    const lease = leases.of(message, entry)
    if (lease !== undefined) done.leases.push(lease)
  }
}
