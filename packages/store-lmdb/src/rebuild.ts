/**
 * Makes anew what follows from the entries: the rows of `due` and `held`, the heads, and the counts. It takes time in
 * proportion to the queue, so it is done for two reasons only: the spool was written in an older format, or something in
 * it could not be read. What belongs to nothing, or cannot be read, is set aside on the way. One write transaction does
 * all of it, so that nothing is ever half done.
 */
import { claimLane, type MessageId } from '@mailwright/core'
import {
  type CorruptKey,
  counterValue,
  type Database,
  type DueKey,
  type EntryKey,
  FORMAT,
  type HeldKey,
  NOTHING,
  readCounter,
  rowCount,
} from './database.ts'
import { LaneAges } from './lane-ages.ts'
import { REBUILD } from './quarantine.ts'
import { CorruptRecord, type EntryRow } from './record.ts'
import type { RecordCodec } from './record-codec.ts'
import { Tally } from './tally.ts'

/** A record that was set aside. */
export interface SetAside {
  readonly message: MessageId
  readonly problem: string
}

/** Whether an opening should rebuild: asked for, or to be seen from numbers that cost nothing to compare. */
export function needsRebuild(db: Database): boolean {
  const entries = rowCount(db.entries)
  return (
    readCounter(db, REBUILD) !== 0 ||
    entries !== rowCount(db.due) + rowCount(db.held) ||
    entries < rowCount(db.messages) ||
    (entries === 0 && rowCount(db.shape) > 0) ||
    (rowCount(db.due) > 0 && rowCount(db.heads) === 0)
  )
}

/** To be called by an owner before anything else is done with the spool. Answers what was set aside. */
export function rebuild(db: Database, codec: RecordCodec, generation: number): readonly SetAside[] {
  const aside: SetAside[] = []
  db.root.transactionSync(() => {
    const right = new Counting(db, generation)
    const broken: [EntryKey, string][] = []
    const isOwned = messageWalk(db, (message) => aside.push(setAside(db, ['message', message, 0], 'no entries')))
    for (const { key, value } of db.entries.getRange({})) {
      const row = readable(codec, key, value)
      if (row instanceof CorruptRecord) {
        broken.push([key, row.message])
        continue
      }
      const [message, entry] = key
      isOwned(message)
      index(db, message, entry, row)
      right.count(message, row)
    }
    isOwned(undefined)
    for (const [[message, entry], problem] of broken) aside.push(setAside(db, ['entry', message, entry], problem))
    for (const table of [db.due, db.held]) removeWrong(db, codec, table as typeof db.due)
    writeHeads(db)
    right.write()
  })
  return aside
}

/** What is counted, from nothing. */
class Counting {
  readonly #db: Database
  readonly #ages: LaneAges
  #bytes = 0
  #tried = 0
  #last: MessageId | undefined

  constructor(db: Database, generation: number) {
    this.#db = db
    this.#ages = new LaneAges(db, generation)
    this.#ages.clear()
  }

  count(message: MessageId, { lane, arrivedAt, attempts, size }: EntryRow): void {
    this.#ages.change(lane, arrivedAt, 1)
    if (attempts > 0) this.#tried += 1
    if (message !== this.#last) this.#bytes += size
    this.#last = message
  }

  write(): void {
    this.#ages.writeChanges()
    new Tally(this.#db, 'flow', 'changes').set(this.#bytes)
    new Tally(this.#db, 'deferred.flow', 'deferred.changes').set(this.#tried)
    this.#db.counters.put(REBUILD, counterValue(0))
    this.#db.counters.put('format', counterValue(FORMAT))
  }
}

/** Goes through messages beside a walk through entries, in the same order; `orphan` hears of those passed by. */
function messageWalk(db: Database, orphan: (message: MessageId) => void): (reached: MessageId | undefined) => void {
  const orphans: MessageId[] = []
  const messages = db.messages.getKeys({})[Symbol.iterator]()
  let next = messages.next()
  return (reached) => {
    while (!next.done && (reached === undefined || next.value < reached)) {
      orphans.push(next.value)
      next = messages.next()
    }
    if (!next.done && next.value === reached) next = messages.next()
    // Not while a cursor is on them.
    if (reached === undefined) for (const message of orphans) orphan(message)
  }
}

function setAside(db: Database, key: CorruptKey, problem: string): SetAside {
  const [kind, message, entry] = key
  const table = (kind === 'message' ? db.messages : db.entries) as typeof db.messages
  const place = (kind === 'message' ? message : [message, entry]) as string
  const value = table.get(place)
  if (value !== undefined) db.corrupt.put(key, Buffer.from(value))
  table.remove(place)
  return { message: String(message), problem }
}

/** Removes rows of an index that lead to nothing, or to an entry that is elsewhere. */
function removeWrong(db: Database, codec: RecordCodec, table: Database['due']): void {
  const wrong: DueKey[] = []
  for (const key of table.getKeys({})) {
    const [message, entry] = key.slice(-2) as unknown as EntryKey
    const value =
      typeof message === 'string' && typeof entry === 'number' ? db.entries.get([message, entry]) : undefined
    const row = value && readable(codec, [message, entry], value)
    const right = row === undefined || row instanceof CorruptRecord ? [] : indexKey(message, entry, row)
    if (right.length !== key.length || right.some((part, at) => part !== key[at])) wrong.push(key)
  }
  for (const key of wrong) table.remove(key)
}

/** A head where each lane begins; others may be there, and are corrected as they are met. */
function writeHeads(db: Database): void {
  let last: string | undefined
  for (const [lane, dueAt] of db.due.getKeys({})) {
    if (lane !== last) db.heads.put([dueAt, lane], NOTHING)
    last = lane
  }
}

function index(db: Database, message: MessageId, entry: number, row: EntryRow): void {
  const key = indexKey(message, entry, row)
  // What is right is left alone: one transaction holds all that is written.
  if (!isDue(key)) db.held.put(key, NOTHING)
  else if (!db.due.doesExist(key)) db.due.put(key, NOTHING)
}

function indexKey(message: MessageId, entry: number, row: EntryRow): DueKey | HeldKey {
  return row.held === undefined ? [claimLane(row), row.dueAt, message, entry] : [row.lane, message, entry]
}

function isDue(key: DueKey | HeldKey): key is DueKey {
  return key.length === 4
}

function readable(codec: RecordCodec, [message, entry]: EntryKey, value: Uint8Array): EntryRow | CorruptRecord {
  try {
    if (typeof message !== 'string' || typeof entry !== 'number') return new CorruptRecord('the key is no entry’s')
    return codec.entry(message, entry, value)
  } catch (error) {
    if (error instanceof CorruptRecord) return error
    throw error
  }
}
