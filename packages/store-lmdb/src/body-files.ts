/**
 * Large bodies, each in a file of its own beside the database.
 *
 * A body is written to `bodies/tmp-…` while it arrives. To become part of a message it is synced, gets its lasting name
 * `bodies/<xx>/<id>~…` and its directory is synced: only then may the record that names it be committed. So a file without
 * a message may be left behind by a crash, and is removed at the next opening; a message without its file may not.
 */
import { type FileHandle, link, mkdir, open, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type Call, MailwrightError, type MessageId, type Spool, type SpooledBody } from '@mailwright/core'
import { storageFailure } from './failure.ts'
import { isRunning } from './process-mark.ts'

/** Bytes gathered into one write, and bytes read at once. */
const CHUNK = 256 * 1024
/** Directories the files are spread over. */
const FAN_OUT = 64

export class BodyFiles {
  readonly #directory: string
  readonly #mark: string
  readonly #own = new WeakMap<SpooledBody, BodyFile>()
  readonly #made = new Set<string>()
  #count = 0

  constructor(directory: string, mark: string) {
    this.#directory = join(directory, 'bodies')
    this.#mark = mark
  }

  /** Makes the directory. */
  async prepare(): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 })
  }

  spool(): Spool {
    const file = this.#newFile()
    return {
      write: (chunk) => file.write(chunk),
      finish: async () => {
        await file.finish()
        const body: SpooledBody = {
          size: file.size,
          read: (call) => file.read(call),
          discard: () => file.discard(),
        }
        this.#own.set(body, file)
        return body
      },
      abort: () => file.discard(),
    }
  }

  /** Takes the file of a body that was spooled here, for one message: whoever comes second has to copy it. */
  take(spooled: SpooledBody | undefined): BodyFile | undefined {
    const file = spooled && this.#own.get(spooled)
    return file?.take() ? file : undefined
  }

  /** Copies a body from elsewhere. What the source throws is thrown as it is. */
  async copy(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<BodyFile> {
    const file = this.#newFile()
    try {
      for await (const chunk of chunks) await file.write(chunk)
      await file.finish()
      file.take()
      return file
    } catch (error) {
      await file.discard()
      throw error
    }
  }

  /** Reads a message's file from its first byte. */
  read(name: string, call: Call): AsyncIterable<Uint8Array> {
    return readFileChunks(join(this.#directory, name), call)
  }

  /** Removes a message's file after the message is gone. A file that stays is a stray of the next opening. */
  async remove(name: string): Promise<void> {
    await rm(join(this.#directory, name), { force: true }).catch(() => {})
  }

  /**
   * Removes files that belong to no message: those of a crash, and of puts that failed. Files of a process that still
   * runs are left alone: its put may be under way. Answers how many were removed.
   */
  async removeStrays(belongs: (name: string, message: MessageId) => boolean): Promise<number> {
    let removed = 0
    const removeOne = async (name: string): Promise<void> => {
      await rm(join(this.#directory, name), { force: true })
      removed += 1
    }
    for (const item of await readdir(this.#directory, { withFileTypes: true })) {
      if (item.isFile()) {
        if (!(await this.#isInHand(item.name))) await removeOne(item.name)
        continue
      }
      for (const file of await readdir(join(this.#directory, item.name))) {
        const name = `${item.name}/${file}`
        const message = file.slice(0, file.indexOf('~'))
        if (!belongs(name, message) && !(await this.#isInHand(file))) await removeOne(name)
      }
    }
    return removed
  }

  /** Whether another living process wrote the file. Our own are all from before: nothing is under way at opening. */
  async #isInHand(file: string): Promise<boolean> {
    const mark = file.split('~')[1] ?? ''
    return mark !== this.#mark && (await isRunning(mark))
  }

  #newFile(): BodyFile {
    this.#count += 1
    const tail = `~${this.#mark}~${this.#count}`
    return new BodyFile(this.#directory, tail, (message) => this.#placeFor(message, tail))
  }

  async #placeFor(message: MessageId, tail: string): Promise<string> {
    const shelf = shelfOf(message)
    if (!this.#made.has(shelf)) {
      await mkdir(join(this.#directory, shelf), { recursive: true, mode: 0o700 })
      await syncDirectory(this.#directory)
      this.#made.add(shelf)
    }
    return `${shelf}/${message}${tail}`
  }
}

/** One body on its way to disk, and from a temporary name to a message's. */
export class BodyFile {
  readonly #directory: string
  readonly #placeFor: (message: MessageId) => Promise<string>
  #name: string
  #handle: FileHandle | undefined
  #waiting: Uint8Array[] = []
  #waitingBytes = 0
  #writing: Promise<void> | undefined
  #trouble: unknown
  #discarded = false
  #taken = false
  #kept = false
  size = 0

  constructor(directory: string, tail: string, placeFor: (message: MessageId) => Promise<string>) {
    this.#directory = directory
    this.#placeFor = placeFor
    this.#name = `tmp-${tail}`
  }

  /** Takes a chunk. The promise, where there is one, asks for patience: more is waiting than one write takes. */
  write(chunk: Uint8Array): void | Promise<void> {
    if (this.#trouble !== undefined || this.#discarded) return this.#reject()
    this.#waiting.push(chunk)
    this.#waitingBytes += chunk.length
    this.size += chunk.length
    if (this.#waitingBytes < CHUNK) return
    if (this.#writing === undefined) {
      // Nobody waits for the first write; whoever has more while it is under way does.
      this.#writing = this.#flush()
      return
    }
    return this.#writing.then(() => this.#reject())
  }

  /** Everything is handed to the system; not yet synced. */
  async finish(): Promise<void> {
    await this.#writing
    await this.#flush()
    await this.#reject()
  }

  /** Syncs the body and gives it its lasting name, which survives a power failure when this resolves. */
  async place(message: MessageId): Promise<string> {
    try {
      await this.#handle!.datasync()
      const name = await this.#placeFor(message)
      // Linked before it is unlinked, so that a reader always finds it.
      const last = join(this.#directory, this.#name)
      await link(last, join(this.#directory, name))
      this.#name = name
      await rm(last, { force: true })
      await syncDirectory(join(this.#directory, name, '..'))
      return name
    } catch (error) {
      throw await storageFailure(error)
    }
  }

  /** Whether the caller may make it part of a message: the first who asks. */
  take(): boolean {
    if (this.#taken || this.#discarded) return false
    this.#taken = true
    return true
  }

  /** No message came of it: it may be taken again, and discarded. */
  giveBack(): void {
    this.#taken = false
  }

  /** A message that names this file is committed: it is not ours to remove any more. */
  async keep(): Promise<void> {
    this.#kept = true
    await this.#close()
  }

  read(call: Call): AsyncIterable<Uint8Array> {
    return readFileChunks(() => join(this.#directory, this.#name), call)
  }

  async discard(): Promise<void> {
    if (this.#kept || this.#discarded) return
    this.#discarded = true
    this.#waiting = []
    await this.#writing
    const opened = this.#handle !== undefined
    await this.#close()
    if (opened) await rm(join(this.#directory, this.#name), { force: true }).catch(() => {})
  }

  /** Writes what waits, and what comes to wait meanwhile. Never rejects: trouble is told to the next caller. */
  async #flush(): Promise<void> {
    try {
      this.#handle ??= await open(join(this.#directory, this.#name), 'wx', 0o600)
      while (this.#waiting.length > 0) {
        const chunks = this.#waiting
        this.#waiting = []
        this.#waitingBytes = 0
        await writeAll(this.#handle, chunks)
      }
    } catch (error) {
      this.#trouble = error
    } finally {
      this.#writing = undefined
    }
  }

  async #close(): Promise<void> {
    const handle = this.#handle
    this.#handle = undefined
    await handle?.close().catch(() => {})
  }

  async #reject(): Promise<void> {
    if (this.#trouble !== undefined) throw await storageFailure(this.#trouble)
    if (this.#discarded) throw new MailwrightError('ERR_MAILWRIGHT_STORE', 'the spooled body was discarded')
  }
}

/** `writev` may write less than it was given, without an error: a disk that fills up says so only to the next write. */
async function writeAll(handle: FileHandle, chunks: readonly Uint8Array[]): Promise<void> {
  let rest = chunks
  while (rest.length > 0) {
    let { bytesWritten } = await handle.writev(rest)
    const left: Uint8Array[] = []
    for (const chunk of rest) {
      if (bytesWritten < chunk.length) left.push(bytesWritten === 0 ? chunk : chunk.subarray(bytesWritten))
      bytesWritten = Math.max(0, bytesWritten - chunk.length)
    }
    rest = left.filter((chunk) => chunk.length > 0)
  }
}

async function* readFileChunks(path: string | (() => string), call: Call): AsyncGenerator<Uint8Array> {
  call.signal.throwIfAborted()
  let handle: FileHandle | undefined
  try {
    handle = await open(typeof path === 'string' ? path : path(), 'r')
    for (;;) {
      const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(CHUNK))
      call.signal.throwIfAborted()
      if (bytesRead === 0) return
      yield buffer.subarray(0, bytesRead)
    }
  } catch (error) {
    call.signal.throwIfAborted()
    throw await storageFailure(error)
  } finally {
    await handle?.close()
  }
}

/** A name is safe from power failure only when its directory is synced. */
async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Ids of one server end alike and those of one hour begin alike, so the shelf comes from all of it. */
function shelfOf(message: MessageId): string {
  let hash = 0
  for (let index = 0; index < message.length; index++) hash = (hash * 31 + message.charCodeAt(index)) >>> 0
  return (hash % FAN_OUT).toString(16).padStart(2, '0')
}
