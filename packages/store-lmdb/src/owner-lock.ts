/**
 * One process owns a spool. The lock is a listening socket in the spool: the system closes it with the process, however
 * that ends, so there is no stale lock to judge by a process number that may be somebody else's by now; and it holds
 * between containers that share the directory and nothing else.
 *
 * A socket file that nobody listens at is left by a crash. Two newcomers who both find one must not both take it over:
 * looking and taking happen inside an LMDB write transaction, whose lock is the system's too and dies with its holder.
 */
import { type FileHandle, open, readFile, rm, writeFile } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { MailwrightError } from '@mailwright/core'
import { processMark } from './process-mark.ts'

/** Longest socket path that fits everywhere; beyond, the way leads through the directory's own handle (Linux). */
const LONGEST_PATH = 100

/** Listens in the spool for as long as its process lives: that is the lock. */
export type Doorkeeper = Server

export interface OwnerLock {
  release(): Promise<void>
}

/**
 * Takes the lock of a spool.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_STORE_BUSY` when another process, or another store of this one, has it.
 */
export async function takeOwnerLock(
  directory: string,
  exclusively: (work: () => Promise<Doorkeeper>) => Promise<Doorkeeper>,
): Promise<OwnerLock> {
  const handle = await open(directory, 'r')
  const path = socketPath(directory, handle)
  try {
    const server = await exclusively(async () => {
      if (await isListening(path)) throw new MailwrightError('ERR_MAILWRIGHT_STORE_BUSY', `${directory} has an owner`)
      await rm(path, { force: true })
      return listen(path)
    })
    await writeFile(join(directory, 'owner'), await processMark(), { mode: 0o600 })
    // The lock is no reason to keep a process alive.
    server.unref()
    return {
      release: async () => {
        await new Promise<void>((resolve) => server.close(() => resolve()))
        await handle.close()
      },
    }
  } catch (error) {
    await handle.close()
    throw error
  }
}

/** Whether a process owns the spool at this moment. */
export async function hasOwner(directory: string): Promise<boolean> {
  let handle: FileHandle
  try {
    handle = await open(directory, 'r')
  } catch {
    return false
  }
  try {
    return await isListening(socketPath(directory, handle))
  } finally {
    await handle.close()
  }
}

/** The mark of the last owner, for a process that wants to know whether it is itself. */
export async function ownerMark(directory: string): Promise<string | undefined> {
  return readFile(join(directory, 'owner'), 'utf8').catch(() => undefined)
}

function socketPath(directory: string, handle: FileHandle): string {
  const path = join(directory, 'owner.sock')
  return path.length <= LONGEST_PATH ? path : `/proc/self/fd/${handle.fd}/owner.sock`
}

function listen(path: string): Promise<Doorkeeper> {
  return new Promise((resolve, reject) => {
    const server = createServer((visitor) => visitor.destroy())
    server.once('error', reject)
    server.listen(path, () => {
      server.off('error', reject)
      server.on('error', () => {})
      resolve(server)
    })
  })
}

function isListening(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const visitor = connect(path)
    visitor.once('connect', () => {
      visitor.destroy()
      resolve(true)
    })
    visitor.once('error', (error: NodeJS.ErrnoException) => {
      visitor.destroy()
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(false)
      // EAGAIN: its backlog is full, so somebody is there.
      else if (error.code === 'EAGAIN') resolve(true)
      else reject(error)
    })
  })
}
