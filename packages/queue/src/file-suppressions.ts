/**
 * A suppression list in a file of lines, only ever appended to: a change is one line, synced before it counts. Several
 * processes may use one file: each sees what another wrote within a second of its next question.
 *
 * When most lines are outdated the file is written anew beside and renamed into place, so that a crash leaves the old one
 * or the new one. Whoever appended to the old one meanwhile finds out and appends again. Lines that cannot be read are
 * passed over; a file that cannot be read makes every question reject: unknown is temporary, never a pass.
 */
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type Awaitable, type Mailbox, MailwrightError, type Suppression, type SuppressionList } from '@mailwright/core'
import { SuppressionMap } from './suppression-map.ts'
import { readSuppressionLine, removalLine, suppressionLine } from './suppression-record.ts'

export interface FileSuppressionsOptions {
  /** Made when something is first written; its folder must be there. */
  readonly file: string
  /** Most addresses. Beyond, `add` rejects. Default 1,000,000. */
  readonly limit?: number
}

/** How long what was read is taken for true, ms. */
const FRESH_MS = 1_000
/** Outdated lines that are not worth a new file, besides as many as there are addresses. */
const SPARE_LINES = 1_000
/** A new file that nobody finished for so long was left by a crash, ms. */
const ABANDONED_MS = 60_000
const CHUNK = 1 << 20

/**
 * Makes a durable suppression list.
 *
 * @example
 * const suppressions = fileSuppressions({ file: './spool/suppressions' })
 */
export function fileSuppressions({ file, limit = 1_000_000 }: FileSuppressionsOptions): SuppressionList {
  return new SuppressionFile(file, limit)
}

/** What was read of a file so far. */
interface Reading {
  readonly inode: bigint
  readonly entries: SuppressionMap
  /** Where the lines not read yet begin. */
  end: number
  lines: number
}

class SuppressionFile implements SuppressionList {
  readonly #file: string
  readonly #limit: number
  #known: Reading
  /** By the clock of whoever asks, ms. */
  #readAt = Number.NEGATIVE_INFINITY
  /** Reading and writing take turns. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(file: string, limit: number) {
    this.#file = file
    this.#limit = limit
    this.#known = this.#nothing(0n)
  }

  find(address: Mailbox, now: number): Awaitable<Suppression | undefined> {
    // A clock that was set back must not make old news fresh.
    if (Math.abs(now - this.#readAt) < FRESH_MS) return this.#known.entries.find(address, now)
    return this.#inTurn(async () => {
      await this.#catchUp()
      this.#readAt = now
      await this.#compact(now)
      return this.#known.entries.find(address, now)
    })
  }

  add(suppression: Suppression): Promise<void> {
    return this.#inTurn(async () => {
      await this.#catchUp()
      this.#known.entries.assertRoom(suppression.address)
      await this.#append(suppressionLine(suppression))
    })
  }

  remove(address: Mailbox): Promise<boolean> {
    return this.#inTurn(async () => {
      await this.#catchUp()
      if (this.#known.entries.find(address, Number.NEGATIVE_INFINITY) === undefined) return false
      await this.#append(removalLine(address))
      return true
    })
  }

  list({ limit, after }: Parameters<SuppressionList['list']>[0]): Promise<readonly Suppression[]> {
    return this.#inTurn(async () => {
      await this.#catchUp()
      return this.#known.entries.list(limit, after)
    })
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work).catch((cause: unknown) => {
      if (cause instanceof MailwrightError) throw cause
      throw new MailwrightError('ERR_MAILWRIGHT_STORE', `the suppression file ${this.#file} failed`, { cause })
    })
    this.#turn = done.catch(() => undefined)
    return done
  }

  #nothing(inode: bigint): Reading {
    return { inode, entries: new SuppressionMap(this.#limit), end: 0, lines: 0 }
  }

  /** Reads what was written since, by us or others. A new file counts when it is read to its end. */
  async #catchUp(): Promise<void> {
    const handle = await openIfThere(this.#file)
    if (handle === undefined) {
      this.#known = this.#nothing(0n)
      return
    }
    try {
      const { ino, size } = await handle.stat({ bigint: true })
      const isSame = ino === this.#known.inode && size >= this.#known.end
      const reading = isSame ? this.#known : this.#nothing(ino)
      await readOn(handle, reading)
      this.#known = reading
    } finally {
      await handle.close()
    }
  }

  /** Writes a line, synced, into the file that is there when it is done. */
  async #append(line: string): Promise<void> {
    for (;;) {
      const handle = await open(this.#file, 'a+', 0o640)
      try {
        const { size } = await handle.stat()
        // What a crash has cut short must not swallow our line.
        const torn = size > 0 && (await handle.read(Buffer.alloc(1), 0, 1, size - 1)).buffer[0] !== 10
        await handle.appendFile(torn ? `\n${line}` : line)
        await handle.datasync()
        if (size === 0) await syncFolder(this.#file)
        const { ino } = await handle.stat()
        if ((await stat(this.#file)).ino === ino) break
      } finally {
        await handle.close()
      }
    }
    await this.#catchUp()
  }

  /** Writes the file anew when most of it is outdated. It can wait, so that a failure is no failure. */
  async #compact(now: number): Promise<void> {
    if (this.#known.lines < 2 * this.#known.entries.size + SPARE_LINES) return
    const fresh = `${this.#file}.new`
    const handle = await this.#openFresh(fresh, now)
    if (handle === undefined) return
    const old = await open(this.#file, 'r')
    try {
      await readOn(old, this.#known)
      this.#known.entries.prune(now)
      let chunk = ''
      for (const suppression of this.#known.entries.values()) {
        chunk += suppressionLine(suppression)
        if (chunk.length < CHUNK) continue
        await handle.appendFile(chunk)
        chunk = ''
      }
      await handle.appendFile(chunk)
      await handle.sync()
      await rename(fresh, this.#file)
      await syncFolder(this.#file)
      await this.#carryOver(old)
    } finally {
      await old.close()
      await handle.close()
    }
    await this.#catchUp()
  }

  /** What others appended to the old file while the new one was written: they believe that it counts. */
  async #carryOver(old: FileHandle): Promise<void> {
    const { end } = this.#known
    const length = (await old.stat()).size - end
    if (length <= 0) return
    const { buffer, bytesRead } = await old.read(Buffer.alloc(length), 0, length, end)
    await this.#append(buffer.toString('utf8', 0, bytesRead))
  }

  /** Only one process writes a new file at a time. */
  async #openFresh(fresh: string, now: number): Promise<FileHandle | undefined> {
    try {
      return await open(fresh, 'wx', 0o640)
    } catch (error) {
      if (!isSystemError(error, 'EEXIST')) throw error
      const { mtimeMs } = await stat(fresh)
      if (now - mtimeMs > ABANDONED_MS) await rm(fresh, { force: true })
      return undefined
    }
  }
}

/** Takes in the whole lines that are not read yet. */
async function readOn(handle: FileHandle, reading: Reading): Promise<void> {
  let rest = Buffer.alloc(0)
  for (;;) {
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(CHUNK), 0, CHUNK, reading.end + rest.length)
    if (bytesRead === 0) return
    const text = Buffer.concat([rest, buffer.subarray(0, bytesRead)])
    // No line of ours is as long as a chunk: such a one is passed over in parts.
    const end = text.lastIndexOf(10) + 1 || (text.length > CHUNK ? text.length : 0)
    for (const line of text.toString('utf8', 0, end).split('\n')) if (line !== '') take(line, reading)
    reading.end += end
    rest = text.subarray(end)
  }
}

function take(line: string, reading: Reading): void {
  reading.lines += 1
  const record = readSuppressionLine(line)
  if (record === undefined) return
  if ('set' in record) reading.entries.set(record.set)
  else reading.entries.delete(record.removed)
}

function isSystemError(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}

async function openIfThere(file: string): Promise<FileHandle | undefined> {
  try {
    return await open(file, 'r')
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined
    throw error
  }
}

/** A name is durable when its folder is. */
async function syncFolder(file: string): Promise<void> {
  const folder = await open(dirname(file), 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
