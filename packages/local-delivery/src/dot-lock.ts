/**
 * The lock that mail programs of all kinds agree on: a file `mailbox.lock` beside the mailbox, made by link(2), which works
 * on every file system and never replaces what is there. A lock that nobody has touched for long is left over from a crash, and
 * is taken away. Locks of fcntl(2), which some readers use alone, Node does not have.
 */
import type { link, open, rename, stat, unlink } from 'node:fs/promises'
import { type Call, type Clock, MailwrightError, reply, sleep } from '@mailwright/core'

/** The part of `node:fs/promises` that is needed. */
export interface LockFiles {
  readonly open: typeof open
  readonly link: typeof link
  readonly unlink: typeof unlink
  readonly rename: typeof rename
  readonly stat: typeof stat
}

/** How long to wait between tries, and how many to make. */
const PAUSE_MS = 1_000
const TRIES = 20
/** After so long a lock is nobody's: longer than any delivery takes. */
const STALE_MS = 600_000

/**
 * Does `work` while the mailbox is ours. Rejects with `ERR_MAILWRIGHT_STORE` when it stays somebody else's, and with what `work`
 * rejects with.
 */
export async function withLock<T>(
  files: LockFiles,
  mailbox: string,
  unique: string,
  clock: Clock,
  call: Call,
  work: () => Promise<T>,
): Promise<T> {
  const lock = `${mailbox}.lock`
  const own = `${lock}.${unique}`
  await (await files.open(own, 'wx', 0o600)).close()
  try {
    await acquire(files, lock, own, clock, call)
    try {
      return await work()
    } finally {
      // One that somebody took away for stale is gone: nothing to give back.
      await files.unlink(lock).catch(() => {})
    }
  } finally {
    await files.unlink(own).catch(() => {})
  }
}

async function acquire(files: LockFiles, lock: string, own: string, clock: Clock, call: Call): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      await files.link(own, lock)
      return
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    if (await isStale(files, lock, clock)) await takeAway(files, lock, own, clock)
    else if (tries === TRIES) throw busy()
    else await sleep(clock, PAUSE_MS, call.signal)
  }
}

async function isStale(files: LockFiles, lock: string, clock: Clock): Promise<boolean> {
  try {
    return clock.now() - (await files.stat(lock)).mtimeMs > STALE_MS
  } catch {
    // Gone meanwhile.
    return false
  }
}

/** Only one of several who find it stale gets it, under a name of its own; a fresh one that came between goes back. */
async function takeAway(files: LockFiles, lock: string, own: string, clock: Clock): Promise<void> {
  const stale = `${own}.stale`
  try {
    await files.rename(lock, stale)
  } catch {
    return
  }
  if (!(await isStale(files, stale, clock))) await files.link(stale, lock).catch(() => {})
  await files.unlink(stale).catch(() => {})
}

function busy(): MailwrightError {
  return new MailwrightError('ERR_MAILWRIGHT_STORE', 'the mailbox is locked by somebody else', {
    reply: reply(452, '4.2.0', 'The mailbox is in use'),
  })
}
