/** An open spool with everything that works on it, put together. */
import { type Events, hasCode, type MailEvent, type MailwrightError } from '@mailwright/core'
import { BodyFiles } from './body-files.ts'
import { Counts } from './counts.ts'
import { type Database, guardCommits } from './database.ts'
import { isStorageFull, storageFailure } from './failure.ts'
import { GroupCommit } from './group-commit.ts'
import { LaneBook } from './lane-book.ts'
import { Leases } from './leases.ts'
import { assertInPlace, type OpenSpool } from './opening.ts'
import type { LmdbStoreSettings } from './options.ts'
import { type Packer, packerFor } from './packing.ts'
import { processMark } from './process-mark.ts'
import { Quarantine } from './quarantine.ts'
import { QueueTables } from './queue-tables.ts'
import { RecordCache } from './record-cache.ts'
import type { RecordCodec } from './record-codec.ts'
import { freeBytes, StorageSpace } from './storage-space.ts'
import { StoredMessages } from './stored-messages.ts'
import { Work } from './work.ts'

export interface StoreParts {
  readonly settings: LmdbStoreSettings
  readonly db: Database
  readonly cache: RecordCache
  readonly codec: RecordCodec
  readonly commits: GroupCommit
  readonly counts: Counts
  readonly files: BodyFiles
  readonly lanes: LaneBook
  readonly leases: Leases
  readonly messages: StoredMessages
  readonly quarantine: Quarantine
  readonly space: StorageSpace
  readonly tables: QueueTables
  /** Absent where nothing is packed. */
  readonly packer: Packer | undefined
  readonly work: Work
  /** Runs `change` inside a write transaction of its own: all of it or nothing, on the disk when it resolves. */
  transaction<T>(change: () => T): Promise<T>
  /** After a change by an operator: rejects when it was made to a file that is not the spool's any more. */
  inPlace(): Promise<void>
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
  const { db, codec, generation } = spool
  const counts = new Counts(db, generation)
  const { directory, access, cacheBytes, minFree, compression, compressAbove, keyring } = settings
  const packer = compression && packerFor(compression, compressAbove)
  const framing = packer === undefined && keyring === undefined ? undefined : { packer, keyring }
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
      return await db.root.childTransaction(counts.counting(change))
    } catch (error) {
      throw hasCode(error, 'ERR_MAILWRIGHT_CLAIM_LOST') ? error : await failure(error)
    }
  }
  const cache = new RecordCache(cacheBytes)
  const files = new BodyFiles(directory, await processMark(), generation, framing)
  const leases = new Leases(generation)
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
  let folding = false
  function foldCounts(): void {
    if (folding) return
    folding = true
    work.background(async () => {
      try {
        // Not as part of the batch that is just being closed.
        await new Promise((resolve) => setImmediate(resolve))
        await counts.ages.fold(transaction)
      } finally {
        folding = false
      }
    })
  }
  const commitFailed = (error: unknown): void => work.background(() => failure(error))
  guardCommits(db, commitFailed)
  if (access === 'owner') counts.follow(commitFailed, foldCounts)
  const quarantine = new Quarantine(db, counts, codec, (task) => work.background(task), emit)
  const messages = new StoredMessages(db, files, cache, codec, (message, problem) =>
    quarantine.report(message, problem),
  )
  const tables = new QueueTables(db, lanes, counts, codec)
  return {
    settings,
    db,
    cache,
    codec,
    commits: new GroupCommit(),
    counts,
    files,
    lanes,
    leases,
    messages,
    quarantine,
    space,
    tables,
    packer,
    work,
    transaction,
    inPlace: () => assertInPlace(directory, spool.inode),
    announce,
    failure,
  }
}
