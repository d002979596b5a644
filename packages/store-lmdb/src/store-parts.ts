/** An open spool with everything that works on it, put together. */
import { type Events, hasCode, type MailEvent, type MailwrightError } from '@mailwright/core'
import { BodyFiles } from './body-files.ts'
import { type Database, guardCommits } from './database.ts'
import { isStorageFull, storageFailure } from './failure.ts'
import { GroupCommit } from './group-commit.ts'
import { LaneBook } from './lane-book.ts'
import { Leases } from './leases.ts'
import type { OpenSpool } from './opening.ts'
import type { LmdbStoreSettings } from './options.ts'
import { processMark } from './process-mark.ts'
import { Quarantine } from './quarantine.ts'
import { QueueTables } from './queue-tables.ts'
import { RecordCache } from './record-cache.ts'
import { freeBytes, StorageSpace } from './storage-space.ts'
import { StoredMessages } from './stored-messages.ts'
import { Totals } from './totals.ts'
import { Work } from './work.ts'

export interface StoreParts {
  readonly settings: LmdbStoreSettings
  readonly db: Database
  readonly cache: RecordCache
  readonly commits: GroupCommit
  readonly files: BodyFiles
  readonly lanes: LaneBook
  readonly leases: Leases
  readonly messages: StoredMessages
  readonly quarantine: Quarantine
  readonly space: StorageSpace
  readonly tables: QueueTables
  readonly totals: Totals
  readonly work: Work
  /** Runs `change` inside a write transaction of its own: all of it or nothing, on the disk when it resolves. */
  transaction<T>(change: () => T): Promise<T>
  /** Tells those who wait for arrivals. */
  announce(): void
  /** The error to reject with when storage fails. Also keeps in mind that it was full. */
  failure(error: unknown): Promise<MailwrightError>
}

export async function assemble(
  settings: LmdbStoreSettings,
  spool: OpenSpool,
  events: Events,
  announce: () => void,
): Promise<StoreParts> {
  const { db, generation } = spool
  const { directory, access, cacheBytes, minFree } = settings
  const emit = (event: MailEvent): void => events.emit(event)
  const work = new Work((error) => emit({ type: 'failure', where: `the spool in ${directory}`, error }))
  const space = new StorageSpace(
    minFree,
    () => freeBytes(directory),
    (reply) => emit({ type: 'store.refusing', reply }),
  )
  const failure = async (error: unknown): Promise<MailwrightError> => {
    const known = await storageFailure(error)
    if (isStorageFull(known)) space.failed()
    return known
  }
  const transaction = async <T>(change: () => T): Promise<T> => {
    try {
      return await db.root.childTransaction(change)
    } catch (error) {
      throw hasCode(error, 'ERR_MAILWRIGHT_CLAIM_LOST') ? error : await failure(error)
    }
  }
  const cache = new RecordCache(cacheBytes)
  const files = new BodyFiles(directory, await processMark(), generation)
  const leases = new Leases(generation)
  const totals = new Totals(db)
  const isLeased = (message: string, entry: number): boolean => leases.has(message, entry)
  const lanes: LaneBook = new LaneBook(db, isLeased, access === 'owner' ? correctHeads : undefined)
  let correcting = false
  function correctHeads(rows: Parameters<LaneBook['correctHeads']>[0]): void {
    if (correcting) return
    correcting = true
    work.background(async () => {
      try {
        lanes.corrected(await transaction(() => lanes.correctHeads(rows)))
      } finally {
        correcting = false
      }
    })
  }
  const commitFailed = (error: unknown): void => work.background(() => failure(error))
  guardCommits(db, commitFailed)
  if (access === 'owner') totals.follow(commitFailed)
  const quarantine = new Quarantine(db, totals, (task) => work.background(task), emit)
  const messages = new StoredMessages(db, files, cache)
  const tables = new QueueTables(db, lanes, totals)
  return {
    settings,
    db,
    cache,
    commits: new GroupCommit(),
    files,
    lanes,
    leases,
    messages,
    quarantine,
    space,
    tables,
    totals,
    work,
    transaction,
    announce,
    failure,
  }
}
