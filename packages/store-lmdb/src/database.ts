/**
 * The LMDB environment and its tables. Everything that knows LMDB's own types is in this package's inside: its `index.ts`
 * exports none of them.
 *
 * | table      | key                       | value                                       |
 * |------------|---------------------------|---------------------------------------------|
 * | `messages` | id                        | the message record: facts, head, small body |
 * | `entries`  | id, entry                 | the entry as JSON; versioned                |
 * | `due`      | lane, dueAt, id, entry    | nothing: an index of entries not held       |
 * | `held`     | lane, id, entry           | nothing: an index of entries held           |
 * | `heads`    | dueAt, lane               | nothing: hints where lanes begin            |
 * | `shape`    | lane, slot, part          | a number of entries: see `lane-ages.ts`     |
 * | `stops`    | the scope, as text        | a suspension as JSON                        |
 * | `corrupt`  | kind, id, entry           | what could not be read, as it was           |
 * | `counters` | name                      | a number                                    |
 * | `keys`     | the key's id              | a record only that key opens                |
 */
import { join } from 'node:path'
import type { MessageId } from '@mailwright/core'
import { open, type RootDatabase, type Database as Table } from 'lmdb'

/** How things are written. A spool written in an older way is upgraded by its owner, one in a newer way is left alone. */
export const FORMAT = 2

export type EntryKey = [message: MessageId, entry: number]
export type DueKey = [lane: string, dueAt: number, message: MessageId, entry: number]
export type HeldKey = [lane: string, message: MessageId, entry: number]
export type HeadKey = [dueAt: number, lane: string]
export type ShapeKey = [lane: string, slot: number, part: number]
export type CorruptKey = [kind: 'message' | 'entry', message: MessageId, entry: number]

export interface Database {
  readonly root: RootDatabase<Uint8Array, string>
  readonly messages: Table<Uint8Array, MessageId>
  readonly entries: Table<Uint8Array, EntryKey>
  readonly due: Table<Uint8Array, DueKey>
  readonly held: Table<Uint8Array, HeldKey>
  readonly heads: Table<Uint8Array, HeadKey>
  readonly shape: Table<Uint8Array, ShapeKey>
  readonly stops: Table<Uint8Array, string>
  readonly corrupt: Table<Uint8Array, CorruptKey>
  readonly counters: Table<Uint8Array, string>
  readonly keys: Table<Uint8Array, string>
}

/** What index rows hold: their key says it all. */
export const NOTHING: Uint8Array = new Uint8Array()

/**
 * Opens the tables in `directory`, making what is missing. `mapSize` is address space reserved, in bytes: generous,
 * because growing it later remaps the file under its readers.
 */
export function openDatabase(directory: string, mapSize: number): Database {
  const root = open<Uint8Array, string>({
    path: join(directory, 'queue'),
    noSubdir: false,
    encoding: 'binary',
    maxDbs: 16,
    // One sync after the other costs nothing when commits are shared, and lets a database close after a failed commit.
    overlappingSync: false,
    mapSize,
    // Mail is nobody else's business. Not in the library's types.
    ...({ permissionsMode: 0o600 } as object),
  })
  return {
    root,
    messages: root.openDB('messages', { encoding: 'binary' }),
    entries: root.openDB('entries', { encoding: 'binary', useVersions: true }),
    due: root.openDB('due', { encoding: 'binary' }),
    held: root.openDB('held', { encoding: 'binary' }),
    heads: root.openDB('heads', { encoding: 'binary' }),
    shape: root.openDB('shape', { encoding: 'binary' }),
    stops: root.openDB('stops', { encoding: 'binary' }),
    corrupt: root.openDB('corrupt', { encoding: 'binary' }),
    counters: root.openDB('counters', { encoding: 'binary' }),
    keys: root.openDB('keys', { encoding: 'binary' }),
  }
}

/**
 * LMDB's binding makes a promise for every batch that is given to nobody. When the commit fails it is rejected, which
 * would end the process. `failed` hears of it instead.
 */
export function guardCommits({ root }: Database, failed: (error: unknown) => void): void {
  root.on('beforecommit', () => {
    // The promise is made when this hook has returned.
    queueMicrotask(() => root.committed.then(undefined, failed))
  })
}

/** Beyond every key of a lane: text sorts after numbers. */
export function endOfLane(lane: string): DueKey {
  return [lane, '\uffff'] as unknown as DueKey
}

/** Before every key of a lane. */
export function startOfLane(lane: string): DueKey {
  return [lane] as unknown as DueKey
}

/** How many rows a table has. Kept by LMDB itself, so it costs nothing and is right after a crash. */
export function rowCount(table: { getStats(): object }): number {
  return (table.getStats() as { readonly entryCount: number }).entryCount
}

/** A number kept in `counters`; 0 where there is none. */
export function readCounter(db: Database, name: string): number {
  const value = db.counters.get(name)
  return value === undefined ? 0 : numberOf(value)
}

/** The number `counterValue` made a value of; 0 where it cannot be one. */
export function numberOf(value: Uint8Array): number {
  return value.length === 8 ? Buffer.from(value.buffer, value.byteOffset, 8).readDoubleLE(0) : 0
}

export function counterValue(number: number): Uint8Array {
  const value = Buffer.allocUnsafe(8)
  value.writeDoubleLE(number, 0)
  return value
}
