/**
 * Large bodies in the server itself, in chunks: for installations that have no shared directory, and memory to spare. A
 * body belongs to nobody for a day and then goes by itself, unless a message takes it, in the script that stores the
 * message; it goes with the message, in the script that removes that.
 */
import { type Awaitable, type Call, MailwrightError } from '@mailwright/core'
import type { BodyStore, BodyWriter } from './body-store.ts'
import type { Link } from './link.ts'
import { bytesOf } from './record.ts'
import { DROP_BODY, READ_BODY, WRITE_BODY } from './upkeep-scripts.ts'

const CHUNK = 256 * 1024

export class RedisBodies implements BodyStore {
  readonly #link: Link
  readonly #limit: number

  /** `limit` is the largest body taken, in bytes: all of it is in the server's memory. */
  constructor(link: Link, limit: number) {
    this.#link = link
    this.#limit = limit
  }

  async prepare(): Promise<void> {}

  write(name: string): BodyWriter {
    return new ChunkWriter(this.#link, `#${name}`, this.#limit)
  }

  read(name: string, call: Call): AsyncIterable<Uint8Array> {
    return readChunks(this.#link, name, call)
  }

  /** The scripts do that. */
  async remove(): Promise<void> {}

  async sweep(): Promise<number> {
    return 0
  }
}

class ChunkWriter implements BodyWriter {
  readonly #link: Link
  readonly #name: string
  readonly #limit: number
  #chunks = 0
  #waiting: Uint8Array[] = []
  #waitingBytes = 0
  #discarded = false
  size = 0

  constructor(link: Link, name: string, limit: number) {
    this.#link = link
    this.#name = name
    this.#limit = limit
  }

  write(chunk: Uint8Array): Awaitable<void> {
    if (this.#discarded) throw new MailwrightError('ERR_MAILWRIGHT_STORE', 'the spooled body was discarded')
    this.#waiting.push(chunk)
    this.#waitingBytes += chunk.length
    this.size += chunk.length
    if (this.size > this.#limit)
      throw new MailwrightError(
        'ERR_MAILWRIGHT_LIMIT',
        `a body larger than ${this.#limit} bytes needs a shared directory`,
        {
          reply: { code: 552, enhanced: '5.3.4', text: 'Message too big for system' },
        },
      )
    if (this.#waitingBytes >= CHUNK) return this.#flush()
  }

  finish(): Promise<void> {
    return this.#flush()
  }

  async place(): Promise<string> {
    return this.#name
  }

  read(call: Call): AsyncIterable<Uint8Array> {
    return readChunks(this.#link, this.#name, call)
  }

  async discard(): Promise<void> {
    if (this.#discarded) return
    this.#discarded = true
    this.#waiting = []
    // What stays goes by itself.
    if (this.#chunks > 0) await this.#link.run(DROP_BODY, [this.#name]).catch(() => undefined)
  }

  async #flush(): Promise<void> {
    // An empty body is one empty chunk: a body without chunks would be one that is lost.
    if (this.#waitingBytes === 0 && this.#chunks > 0) return
    const bytes = Buffer.concat(this.#waiting)
    this.#waiting = []
    this.#waitingBytes = 0
    const number = this.#chunks
    this.#chunks += 1
    await this.#link.run(WRITE_BODY, [this.#name, number, bytes])
  }
}

async function* readChunks(link: Link, name: string, call: Call): AsyncGenerator<Uint8Array> {
  for (let number = 0; ; number++) {
    call.signal.throwIfAborted()
    const chunk = (await link.runBytes(READ_BODY, [name, number])) as Uint8Array | null
    call.signal.throwIfAborted()
    if (chunk === null && number === 0) throw new MailwrightError('ERR_MAILWRIGHT_STORE', `the body ${name} is gone`)
    if (chunk === null) return
    if (chunk.length > 0) yield bytesOf(chunk)
  }
}
