/**
 * What an operator sees and does. A change goes page by page: each page is one transaction, in which every entry is read
 * again and changed if it is still meant. When storage fails half way, what was done is done; doing it again is safe.
 */
import type { EntriesQuery, MessageId, MessageSource, QueueEntry, QueueStats, Selection } from '@mailwright/core'
import { dropLease } from './claiming.ts'
import { type Database, endOfLane, rowCount, startOfLane } from './database.ts'
import { isWanted, type ScannedEntry, scanEntries } from './entry-scan.ts'
import type { Lease } from './leases.ts'
import { assertTime } from './options.ts'
import type { VersionedRow } from './queue-tables.ts'
import { CorruptRecord, describeEntry, type EntryRow } from './record.ts'
import type { StoreParts } from './store-parts.ts'

/** What to do when a removal is committed. */
interface Removed {
  readonly files: string[]
  readonly leases: Lease[]
}

export class Operating {
  readonly #parts: StoreParts

  constructor(parts: StoreParts) {
    this.#parts = parts
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

  async remove(selection: Selection): Promise<number> {
    return this.#change(selection, () => undefined)
  }

  async stats(): Promise<QueueStats> {
    const { db, leases, totals } = this.#parts
    const lanes = await countLanes(db)
    // Ids are in order of arrival.
    const [first] = await this.entries({ limit: 1 })
    return {
      messages: rowCount(db.messages),
      entries: rowCount(db.entries),
      held: rowCount(db.held),
      claimed: leases.live,
      bytes: totals.read(),
      lanes,
      oldest: first?.arrivedAt,
    }
  }

  #scan(selection: Selection, limit: number, after?: [MessageId, number]): AsyncGenerator<readonly ScannedEntry[]> {
    return scanEntries(this.#parts.db, selection, limit, after, (message, entry, problem) =>
      this.#parts.quarantine.entry(message, entry, problem),
    )
  }

  /** Writes what `next` makes of each selected entry, or removes it where that is nothing. */
  async #change(selection: Selection, next: (row: EntryRow) => EntryRow | undefined): Promise<number> {
    let changed = 0
    for await (const page of this.#scan(selection, Number.POSITIVE_INFINITY)) {
      const gone: Removed = { files: [], leases: [] }
      changed += await this.#parts.transaction(() => {
        let count = 0
        for (const { message, entry } of page) {
          const current = this.#parts.tables.read(message, entry)
          if (current === undefined || !isWanted(selection, { message, entry, row: current.row })) continue
          this.#write(message, entry, current, next(current.row), gone)
          count += 1
        }
        return count
      })
      this.#parts.lanes.forget()
      for (const lease of gone.leases) dropLease(this.#parts, lease)
      for (const file of gone.files) await this.#parts.files.remove(file)
    }
    return changed
  }

  #write(message: MessageId, entry: number, current: VersionedRow, next: EntryRow | undefined, gone: Removed): void {
    const { cache, leases, tables } = this.#parts
    if (next !== undefined) {
      tables.replace(message, entry, current, next)
      return
    }
    const { file } = current.row
    if (tables.remove(message, entry, current.row) === 'nothing' && file !== undefined) gone.files.push(file)
    cache.remove(message)
    const lease = leases.of(message, entry)
    if (lease !== undefined) gone.leases.push(lease)
  }
}

/** Lanes with entries, by leaping from lane to lane: in proportion to lanes, not to mail. */
async function countLanes(db: Database): Promise<number> {
  let count = 0
  for await (const _ of lanesOf(db.due)) count += 1
  // Few lanes have nothing but held mail.
  for await (const lane of lanesOf(db.held)) if (isEmpty(db, lane)) count += 1
  return count
}

async function* lanesOf(table: Database['due'] | Database['held']): AsyncGenerator<string> {
  const index = table as Database['due']
  let start: ReturnType<typeof endOfLane> | undefined
  for (let steps = 1; ; steps++) {
    let lane: string | undefined
    for (const key of index.getKeys({ ...(start && { start }), limit: 1 })) lane = key[0]
    if (lane === undefined) return
    yield lane
    start = endOfLane(lane)
    if (steps % 500 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
}

function isEmpty(db: Database, lane: string): boolean {
  for (const _ of db.due.getKeys({ start: startOfLane(lane), end: endOfLane(lane), limit: 1 })) return false
  return true
}
