/** Bodies on their way into a message and out of it: beside the head where they are small, in the body store otherwise. */
import {
  type Call,
  MailwrightError,
  type MessageId,
  type MessageSource,
  type Spool,
  type SpooledBody,
} from '@mailwright/core'
import type { BodyStore, BodyWriter } from './body-store.ts'
import type { Link } from './link.ts'
import { type BodyPlace, bytesOf, isSet, numberOf, textOf } from './record.ts'
import { READ } from './upkeep-scripts.ts'

/** A body where it belongs, before its message is stored. */
export interface Brought {
  readonly place: BodyPlace
  readonly size: number
  /** What claims of it read from: the given source where that is in memory. */
  readonly source: MessageSource
  readonly spooled: SpooledWriter | undefined
}

/** `refused`: it came to no message. `doubtful`: nobody knows, so nobody may remove it. */
export type Ending = 'stored' | 'refused' | 'doubtful'

interface SpooledWriter {
  readonly writer: BodyWriter
  /** Whether it is a copy made here, which nobody else discards. */
  readonly isCopy: boolean
  state: 'free' | 'taken' | 'kept'
}

export class MessageBodies {
  readonly #store: BodyStore
  readonly #link: Link
  readonly #inlineLimit: number
  readonly #own = new WeakMap<SpooledBody, SpooledWriter>()
  #count = 0

  constructor(store: BodyStore, link: Link, inlineLimit: number) {
    this.#store = store
    this.#link = link
    this.#inlineLimit = inlineLimit
  }

  spool(): Spool {
    const spooled: SpooledWriter = { writer: this.#newWriter(), isCopy: false, state: 'free' }
    const { writer } = spooled
    return {
      write: (chunk) => writer.write(chunk),
      finish: async () => {
        await writer.finish()
        const body: SpooledBody = {
          size: writer.size,
          read: (call) => writer.read(call),
          discard: async () => {
            if (spooled.state === 'free') await writer.discard()
          },
        }
        this.#own.set(body, spooled)
        return body
      },
      abort: () => writer.discard(),
    }
  }

  /** The hot path: a small body that is in memory. */
  inline(source: MessageSource): Brought | undefined {
    const { buffered, head } = source
    if (buffered === undefined || buffered.length > this.#inlineLimit) return undefined
    return { place: { inline: buffered }, size: head.length + buffered.length, source, spooled: undefined }
  }

  /** Brings a body where it belongs. What the source throws is thrown as it is. */
  async bring(message: MessageId, source: MessageSource, call: Call): Promise<Brought> {
    const small = this.inline(source)
    if (small !== undefined) return small
    const { head, buffered } = source
    const own = buffered === undefined ? this.#take(source.spooled) : undefined
    if (own !== undefined) return this.#placed(message, head, own)
    if (buffered === undefined && source.size - head.length <= this.#inlineLimit) {
      const body = await readSmall(source, this.#inlineLimit, call)
      return {
        place: { inline: body },
        size: head.length + body.length,
        source: inMemory(head, body),
        spooled: undefined,
      }
    }
    const copy = await this.#copy(buffered === undefined ? source.body(call) : [buffered])
    return this.#placed(message, head, copy)
  }

  /** After the message was stored, or not. */
  async conclude({ spooled }: Brought, ending: Ending): Promise<void> {
    if (spooled === undefined) return
    if (ending !== 'refused') spooled.state = 'kept'
    else if (spooled.isCopy) await spooled.writer.discard()
    else spooled.state = 'free'
  }

  /** A message as it is stored. `body` is absent where it is to be fetched when it is read. */
  source(
    message: MessageId,
    head: Uint8Array,
    size: number,
    body: Uint8Array | undefined,
    name: string | undefined,
  ): MessageSource {
    if (body !== undefined) return inMemory(head, body)
    if (name !== undefined) return { head, size, body: (call) => this.#store.read(name, call) }
    return { head, size, body: (call) => this.#fetch(message, call) }
  }

  /** The message of an id, if there is one. */
  async find(message: MessageId): Promise<MessageSource | undefined> {
    const [head, body, name, size] = (await this.#link.runBytes(READ, [message])) as readonly (Uint8Array | null)[]
    if (head === null || head === undefined) return undefined
    return this.source(message, head, numberOf(size), body ?? undefined, isSet(name) ? textOf(name) : undefined)
  }

  async remove(name: string): Promise<void> {
    await this.#store.remove(name)
  }

  async *#fetch(message: MessageId, call: Call): AsyncGenerator<Uint8Array> {
    call.signal.throwIfAborted()
    const [, body] = (await this.#link.runBytes(READ, [message])) as readonly (Uint8Array | null)[]
    call.signal.throwIfAborted()
    if (body === null || body === undefined)
      throw new MailwrightError('ERR_MAILWRIGHT_STORE', `the body of ${message} is gone`)
    if (body.length > 0) yield body
  }

  /** For one message: whoever comes second has to copy it. */
  #take(body: SpooledBody | undefined): SpooledWriter | undefined {
    const spooled = body && this.#own.get(body)
    if (spooled?.state !== 'free') return undefined
    spooled.state = 'taken'
    return spooled
  }

  async #copy(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<SpooledWriter> {
    const writer = this.#newWriter()
    try {
      for await (const chunk of chunks) await writer.write(chunk)
      await writer.finish()
    } catch (error) {
      await writer.discard()
      throw error
    }
    return { writer, isCopy: true, state: 'taken' }
  }

  async #placed(message: MessageId, head: Uint8Array, spooled: SpooledWriter): Promise<Brought> {
    const size = head.length + spooled.writer.size
    try {
      const name = await spooled.writer.place(message)
      return { place: { name }, size, source: this.source(message, head, size, undefined, name), spooled }
    } catch (error) {
      await this.conclude(
        { place: { name: '' }, size, source: { head, size, body: spooled.writer.read }, spooled },
        'refused',
      )
      throw error
    }
  }

  #newWriter(): BodyWriter {
    this.#count += 1
    return this.#store.write(`${this.#link.node}-${this.#count}`)
  }
}

async function readSmall(source: MessageSource, limit: number, call: Call): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of source.body(call)) {
    size += chunk.length
    if (size > limit) throw new MailwrightError('ERR_MAILWRIGHT_STORE', 'the body is larger than its size says')
    chunks.push(chunk)
  }
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, size)
}

function inMemory(head: Uint8Array, buffered: Uint8Array): MessageSource {
  return {
    head,
    size: head.length + buffered.length,
    buffered: bytesOf(buffered),
    async *body(call: Call): AsyncGenerator<Uint8Array> {
      call.signal.throwIfAborted()
      if (buffered.length > 0) yield buffered
    },
  }
}
