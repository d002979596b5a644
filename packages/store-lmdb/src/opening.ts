/**
 * Opening a spool: the database, the owner's lock, and what a crash left. Nothing here looks at the queue, unless it was
 * written in an older format or is damaged; what takes time is in proportion to the number of large bodies.
 */
import { existsSync } from 'node:fs'
import { mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { MailwrightError } from '@mailwright/core'
import { syncDirectory } from './body-file.ts'
import type { BodyFiles } from './body-files.ts'
import { assertSound } from './data-file.ts'
import { counterValue, type Database, FORMAT, openDatabase, readCounter, rowCount } from './database.ts'
import { storageFailure } from './failure.ts'
import { checkKeys } from './keyring.ts'
import type { LmdbStoreSettings } from './options.ts'
import { type Doorkeeper, hasOwner, type OwnerLock, ownerMark, takeOwnerLock } from './owner-lock.ts'
import { processMark } from './process-mark.ts'
import { needsRebuild, rebuild, type SetAside } from './rebuild.ts'
import { RecordCodec } from './record-codec.ts'

export interface OpenSpool {
  readonly db: Database
  /** Absent for an operator. */
  readonly lock: OwnerLock | undefined
  /** How often the spool has been opened by an owner. */
  readonly generation: number
  readonly codec: RecordCodec
  /** Which file the database is. */
  readonly inode: number
  /** What could not be read when the spool had to be looked through. */
  readonly aside: readonly SetAside[]
}

/**
 * @throws MailwrightError `ERR_MAILWRIGHT_STORE_BUSY` when it has an owner; `ERR_MAILWRIGHT_CONFIG` when an operator
 * finds no spool; `ERR_MAILWRIGHT_STORE` when it cannot be read or written.
 */
export async function openSpool({ directory, mapSize, access, keyring }: LmdbStoreSettings): Promise<OpenSpool> {
  if (access === 'operator') await assertOperable(directory)
  // Looked at before the database is touched: a process that opens one database twice can lock itself out.
  else if (await isOwned(directory)) throw new MailwrightError('ERR_MAILWRIGHT_STORE_BUSY', `${directory} has an owner`)
  let db: Database | undefined
  let lock: OwnerLock | undefined
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    await assertSound(directory, access)
    db = openDatabase(directory, mapSize)
    // What is synced in a file that no synced directory names would be lost with the power.
    for (const path of [join(directory, 'queue'), directory, join(directory, '..')]) await syncDirectory(path)
    if (access === 'owner') lock = await lockSpool(db, directory)
    const format = await checkedFormat(db, access)
    await checkKeys(db, keyring)
    const codec = new RecordCodec(keyring)
    const generation = readCounter(db, 'generation') + 1
    const { ino: inode } = await stat(join(directory, 'queue', 'data.mdb'))
    if (access === 'operator') return { db, lock, generation, codec, inode, aside: [] }
    await db.counters.put('generation', counterValue(generation))
    const aside = format !== FORMAT || needsRebuild(db) ? rebuild(db, codec, generation) : []
    return { db, lock, generation, codec, inode, aside }
  } catch (error) {
    await lock?.release()
    await db?.root.close()
    throw await storageFailure(error)
  }
}

/** Takes the owner's lock of a spool whose database is open. @throws MailwrightError `ERR_MAILWRIGHT_STORE_BUSY` */
export function lockSpool({ root }: Database, directory: string): Promise<OwnerLock> {
  return takeOwnerLock(directory, (work) => root.transactionSync(work) as unknown as Promise<Doorkeeper>)
}

/**
 * What a process wrote to a database that a smaller copy has replaced meanwhile is lost: it must not be told otherwise.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_STORE`
 */
export async function assertInPlace(directory: string, inode: number): Promise<void> {
  const { ino } = await stat(join(directory, 'queue', 'data.mdb'))
  if (ino !== inode) throw new MailwrightError('ERR_MAILWRIGHT_STORE', `${directory} was compacted: open it again`)
}

/** A place that cannot be looked at is an error of storage: nobody is told that it is free. */
async function isOwned(directory: string): Promise<boolean> {
  try {
    return await hasOwner(directory)
  } catch (error) {
    throw await storageFailure(error)
  }
}

async function assertOperable(directory: string): Promise<void> {
  if (!existsSync(join(directory, 'queue')))
    throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `there is no spool in ${directory}`)
  if ((await ownerMark(directory)) === (await processMark()) && (await isOwned(directory)))
    throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `this process owns ${directory}: its own store is the way in`)
}

/** The format of the spool, which is the one we write or an older one. */
async function checkedFormat(db: Database, access: 'owner' | 'operator'): Promise<number> {
  const format = readCounter(db, 'format')
  if (format === FORMAT) return format
  if (format === 0 && rowCount(db.messages) === 0) {
    await db.counters.put('format', counterValue(FORMAT))
    return FORMAT
  }
  const says = `the spool has format ${format}`
  if (!Number.isInteger(format) || format < 1 || format > FORMAT)
    throw new MailwrightError('ERR_MAILWRIGHT_STORE', `${says}, and this version knows formats up to ${FORMAT}`)
  if (access === 'operator')
    throw new MailwrightError('ERR_MAILWRIGHT_STORE', `${says}, which its owner upgrades when it opens it`)
  return format
}

export interface Recovered {
  readonly messages: number
  readonly strays: number
  readonly corrupt: number
}

/** Removes what belongs to no message, and says what there is. */
export async function recover(db: Database, codec: RecordCodec, files: BodyFiles): Promise<Recovered> {
  const strays = await files.removeStrays((name, message) => {
    const record = db.messages.get(message)
    return record !== undefined && mayOwn(codec, message, record, name)
  })
  return { messages: rowCount(db.messages), strays, corrupt: rowCount(db.corrupt) }
}

/** A record that cannot be read may be the file's own: the file is kept until somebody has looked. */
function mayOwn(codec: RecordCodec, message: string, record: Uint8Array, file: string): boolean {
  try {
    return codec.facts(message, record).file === file
  } catch {
    return true
  }
}
