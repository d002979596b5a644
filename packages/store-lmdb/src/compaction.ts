/**
 * Giving disk space back. A database never gets smaller by itself: what mail leaves is used again by the next. A copy
 * without the free pages takes its place, for a spool that nobody else has open.
 */
import { existsSync } from 'node:fs'
import { chmod, mkdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { MailwrightError } from '@mailwright/core'
import { syncDirectory } from './body-file.ts'
import { checkSpool } from './data-file.ts'
import { openDatabase } from './database.ts'
import { storageFailure } from './failure.ts'
import { lockSpool } from './opening.ts'
import { hasOwner, type OwnerLock } from './owner-lock.ts'

/** Bytes of the database, as the file system counts them. */
export interface Compaction {
  readonly before: number
  readonly after: number
}

/** Address space for the copy's source. */
const MAP_SIZE = 2 ** 34

/**
 * Makes the database of a stopped spool as small as its content. Needs free space for a copy meanwhile; the spool is as it
 * was until the copy is complete and synced.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_STORE_BUSY` while a process has it open; `ERR_MAILWRIGHT_CONFIG` where there is
 * no spool; `ERR_MAILWRIGHT_STORE` when it is damaged or the copy fails.
 * @example
 * const { before, after } = await compactSpool('/var/spool/mailwright')
 */
export async function compactSpool(directory: string): Promise<Compaction> {
  const queue = join(directory, 'queue')
  if (!existsSync(join(queue, 'data.mdb')))
    throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `there is no spool in ${directory}`)
  if (await hasOwner(directory)) throw new MailwrightError('ERR_MAILWRIGHT_STORE_BUSY', `${directory} has an owner`)
  const copy = join(directory, 'queue.copy')
  let lock: OwnerLock | undefined
  try {
    const problem = await checkSpool(directory)
    if (problem !== undefined) throw new MailwrightError('ERR_MAILWRIGHT_STORE', `the database is damaged: ${problem}`)
    const { size: before } = await stat(join(queue, 'data.mdb'))
    const db = openDatabase(directory, MAP_SIZE)
    try {
      lock = await lockSpool(db, directory)
      db.root.readerCheck()
      if (hasOtherReaders(db.root.readerList()))
        throw new MailwrightError('ERR_MAILWRIGHT_STORE_BUSY', `another process has ${directory} open`)
      await rm(copy, { recursive: true, force: true })
      await mkdir(copy, { mode: 0o700 })
      await db.root.backup(copy, true)
    } finally {
      await db.root.close()
    }
    await chmod(join(copy, 'data.mdb'), 0o600)
    await syncDirectory(join(copy, 'data.mdb'))
    await rename(join(copy, 'data.mdb'), join(queue, 'data.mdb'))
    await syncDirectory(queue)
    return { before, after: (await stat(join(queue, 'data.mdb'))).size }
  } catch (error) {
    throw await storageFailure(error)
  } finally {
    await rm(copy, { recursive: true, force: true })
    await lock?.release()
  }
}

/** LMDB, which lists readers that ended until it looks, lists a line for each reader, beginning with its process. */
function hasOtherReaders(list: string): boolean {
  return list.split('\n').some((line) => {
    const [, pid] = /^\s*(\d+)\s/.exec(line) ?? []
    return pid !== undefined && Number(pid) !== process.pid
  })
}
