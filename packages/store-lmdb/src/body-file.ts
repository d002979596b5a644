/**
 * One large body on its way to disk: written while it arrives, in few large writes, and then given to a message. Until a
 * message has it, whoever wrote it may discard it. Trouble with the disk is kept and told to the next caller.
 */
import { type FileHandle, link, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { type Call, MailwrightError, type MessageId } from '@mailwright/core'
import type { FrameWriter } from './body-frames.ts'
import { storageFailure } from './failure.ts'

/** Bytes gathered into one write, and bytes read at once. */
const CHUNK = 256 * 1024

/** One body on its way to disk, and from a temporary name to a message's. */
export class BodyFile {
  readonly #directory: string
  readonly #placeFor: (message: MessageId) => Promise<string>
  readonly #frames: FrameWriter | undefined
  #name: string
  #handle: FileHandle | undefined
  #waiting: Uint8Array[] = []
  #waitingBytes = 0
  #writing: Promise<void> | undefined
  #trouble: unknown
  #discarded = false
  #taken = false
  #kept = false
  #ended = false
  size = 0
  /** The crc32 of what was written. */
  crc = 0

  constructor(
    directory: string,
    tail: string,
    placeFor: (message: MessageId) => Promise<string>,
    frames: FrameWriter | undefined,
  ) {
    this.#directory = directory
    this.#placeFor = placeFor
    this.#frames = frames
    this.#name = `tmp-${tail}`
  }

  /** Takes a chunk. The promise, where there is one, asks for patience: more is waiting than one write takes. */
  write(chunk: Uint8Array): void | Promise<void> {
    if (this.#trouble !== undefined || this.#discarded) return this.#reject()
    this.#waiting.push(chunk)
    this.#waitingBytes += chunk.length
    this.size += chunk.length
    this.crc = crc32(chunk, this.crc)
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
    if (this.#frames === undefined || this.#ended) return
    this.#ended = true
    try {
      await writeAll(this.#handle!, this.#frames.end())
    } catch (error) {
      this.#trouble = error
    }
    await this.#reject()
  }

  /** The salt of its frames, where it has frames. */
  get frames(): string | undefined {
    return this.#frames?.salt
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
    const chunks = readFileChunks(() => join(this.#directory, this.#name), call)
    return this.#frames === undefined ? chunks : this.#frames.read(chunks)
  }

  async discard(): Promise<void> {
    if (this.#kept || this.#discarded) return
    this.#discarded = true
    this.#waiting = []
    await this.#writing
    const opened = this.#handle !== undefined
    await this.#close()
    if (opened) await rm(join(this.#directory, this.#name), { force: true }).catch(letBe)
  }

  /** Writes what waits, and what comes to wait meanwhile. Never rejects: trouble is told to the next caller. */
  async #flush(): Promise<void> {
    try {
      if (this.#handle === undefined) {
        this.#handle = await open(join(this.#directory, this.#name), 'wx', 0o600)
        if (this.#frames !== undefined) await writeAll(this.#handle, [this.#frames.header])
      }
      while (this.#waiting.length > 0) {
        const chunks = this.#waiting
        this.#waiting = []
        this.#waitingBytes = 0
        await writeAll(this.#handle, this.#frames === undefined ? chunks : await this.#frames.frames(chunks))
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
    await handle?.close().catch(letBe)
  }

  async #reject(): Promise<void> {
    if (this.#trouble !== undefined) throw await storageFailure(this.#trouble)
    if (this.#discarded) throw new MailwrightError('ERR_MAILWRIGHT_STORE', 'the spooled body was discarded')
  }
}

/** What can no longer be closed or removed is left: a file that stays is a stray of the next opening. */
export function letBe(): void {}

/** `writev` may write less than it was given, without an error: a disk that fills up says so only to the next write. */
export async function writeAll(handle: Pick<FileHandle, 'writev'>, chunks: readonly Uint8Array[]): Promise<void> {
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

/** Reads a file from its first byte, and lets go of it however that ends. */
export async function* readFileChunks(path: string | (() => string), call: Call): AsyncGenerator<Uint8Array> {
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
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
