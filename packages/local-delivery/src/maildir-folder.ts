/**
 * Puts one file into a Maildir, durably (https://cr.yp.to/proto/maildir.html): written and synced in `tmp`, then linked
 * into `new`, then the directory is synced. A reader never sees part of a message, and what is reported as stored
 * survives a power loss. A link, not a rename: it never replaces a file that is there.
 *
 * Missing folders are made with mode 700, but never what is above the Maildir: a disk that is not mounted must not be
 * mistaken for an empty one. On failure nothing is left in `new`, and nothing in `tmp` if that can be helped; what a
 * crash leaves in `tmp` is for the mailbox's reader to clean up.
 */
import type { FileHandle, link, mkdir, open, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { UniqueNames } from './unique-name.ts'

/** The part of `node:fs/promises` that is needed. */
export interface Files {
  readonly open: typeof open
  readonly link: typeof link
  readonly unlink: typeof unlink
  readonly mkdir: typeof mkdir
}

/** How often a name that is taken is replaced by another. */
const NAME_ATTEMPTS = 5

/**
 * Stores what `write` writes. Rejects with the file system's error, or with what `write` rejects with.
 *
 * @example
 * await storeInMaildir(files, '/srv/mail/ann', names, (file) => writeAll(file, bytes))
 */
export async function storeInMaildir(
  files: Files,
  maildir: string,
  names: UniqueNames,
  write: (file: FileHandle) => Promise<void>,
): Promise<void> {
  const written = await writeInTmp(files, maildir, names, write)
  try {
    const delivered = await moveToNew(files, maildir, names, written)
    try {
      await syncFolder(files, join(maildir, 'new'))
    } catch (error) {
      // Whether the message is there after a crash is unknown: take it back, since it will be delivered again.
      await files.unlink(delivered).catch(() => {})
      throw error
    }
  } finally {
    // A file that stays in tmp is another name for the same bytes, or rubbish: never a reason to deliver again.
    await files.unlink(written).catch(() => {})
  }
}

async function writeInTmp(
  files: Files,
  maildir: string,
  names: UniqueNames,
  write: (file: FileHandle) => Promise<void>,
): Promise<string> {
  const [path, file] = await freshName(files, maildir, 'tmp', names, async (path) => {
    return [path, await files.open(path, 'wx', 0o600)] as const
  })
  try {
    try {
      await write(file)
      await file.datasync()
    } finally {
      await file.close()
    }
    return path
  } catch (error) {
    await files.unlink(path).catch(() => {})
    throw error
  }
}

async function moveToNew(files: Files, maildir: string, names: UniqueNames, written: string): Promise<string> {
  return freshName(files, maildir, 'new', names, async (path) => {
    await files.link(written, path)
    return path
  })
}

/** Does something that needs a new name in a folder of the Maildir: with another name when it is taken. */
async function freshName<T>(
  files: Files,
  maildir: string,
  folder: 'tmp' | 'new',
  names: UniqueNames,
  use: (path: string) => Promise<T>,
): Promise<T> {
  let made = false
  for (let attempt = 1; ; ) {
    try {
      return await use(join(maildir, folder, names.next()))
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ENOENT' && !made) {
        made = true
        await makeMaildir(files, maildir)
      } else if (code !== 'EEXIST' || ++attempt > NAME_ATTEMPTS) throw error
    }
  }
}

async function makeMaildir(files: Files, maildir: string): Promise<void> {
  if (await makeFolder(files, maildir)) await syncFolder(files, dirname(maildir))
  for (const folder of ['tmp', 'new', 'cur']) await makeFolder(files, join(maildir, folder))
  await syncFolder(files, maildir)
}

/** Whether the folder had to be made. */
async function makeFolder(files: Files, path: string): Promise<boolean> {
  try {
    await files.mkdir(path, { mode: 0o700 })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

/** Makes the names in a folder durable. */
async function syncFolder(files: Files, path: string): Promise<void> {
  const folder = await files.open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
