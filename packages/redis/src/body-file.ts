/**
 * One large body on its way to a shared directory: written while it arrives, in few large writes. Trouble with the disk is
 * kept and told to the next caller.
 */
import { type FileHandle, open, rm } from 'node:fs/promises'
import { type Call, MailwrightError, type MessageId } from '@mailwright/core'
import type { BodyWriter } from './body-store.ts'
import { STORAGE_FULL } from './failure.ts'

/** Bytes gathered into one write, and bytes read at once. */
const CHUNK = 256 * 1024
const FULL_CODES: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT', 'EFBIG'])

interface Placed {
  readonly path: string
  readonly name: string
}

export class BodyFile implements BodyWriter {
  readonly #giveName: (path: string, message: MessageId) => Promise<Placed>
  #path: string
  #handle: FileHandle | undefined
  #waiting: Uint8Array[] = []
  #waitingBytes = 0
  #writing: Promise<void> | undefined
  #trouble: unknown
  #discarded = false
  size = 0

  /** Begins at `path`; `giveName` moves it to where its message finds it. */
  constructor(path: string, giveName: (path: string, message: MessageId) => Promise<Placed>) {
    this.#path = path
    this.#giveName = giveName
  }

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

  async finish(): Promise<void> {
    await this.#writing
    await this.#flush()
    await this.#reject()
  }

  async place(message: MessageId): Promise<string> {
    try {
      await this.#handle?.datasync()
      const { path, name } = await this.#giveName(this.#path, message)
      this.#path = path
      await this.#close()
      return name
    } catch (error) {
      throw fileFailure(error)
    }
  }

  read(call: Call): AsyncIterable<Uint8Array> {
    return readFileChunks(() => this.#path, call)
  }

  async discard(): Promise<void> {
    if (this.#discarded) return
    this.#discarded = true
    this.#waiting = []
    await this.#writing
    await this.#close()
    await rm(this.#path, { force: true }).catch(() => undefined)
  }

  /** Writes what waits, and what comes to wait meanwhile. Never rejects: trouble is told to the next caller. */
  async #flush(): Promise<void> {
    try {
      this.#handle ??= await open(this.#path, 'wx', 0o600)
      while (this.#waiting.length > 0) {
        const bytes = Buffer.concat(this.#waiting)
        this.#waiting = []
        this.#waitingBytes = 0
        await this.#handle.writeFile(bytes)
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
    await handle?.close().catch(() => undefined)
  }

  async #reject(): Promise<void> {
    if (this.#trouble !== undefined) throw fileFailure(this.#trouble)
    if (this.#discarded) throw new MailwrightError('ERR_MAILWRIGHT_STORE', 'the spooled body was discarded')
  }
}

/** Reads a file from its first byte, and lets go of it however that ends. */
export async function* readFileChunks(path: () => string, call: Call): AsyncGenerator<Uint8Array> {
  call.signal.throwIfAborted()
  let handle: FileHandle | undefined
  try {
    handle = await open(path(), 'r')
    for (;;) {
      const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(CHUNK))
      call.signal.throwIfAborted()
      if (bytesRead === 0) return
      yield buffer.subarray(0, bytesRead)
    }
  } catch (error) {
    call.signal.throwIfAborted()
    throw fileFailure(error)
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

function fileFailure(error: unknown): MailwrightError {
  if (error instanceof MailwrightError) return error
  const isFull = FULL_CODES.has((error as { code?: unknown }).code)
  const options = isFull ? { cause: error, reply: STORAGE_FULL } : { cause: error }
  return new MailwrightError('ERR_MAILWRIGHT_STORE', 'a body cannot be read or written', options)
}
