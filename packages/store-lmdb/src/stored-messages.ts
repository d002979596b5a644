/** Messages as the store gives them back: from the cache, from the database, or with their body in a file. */
import type { Call, MessageId, MessageSource } from '@mailwright/core'
import type { BodyFiles } from './body-files.ts'
import type { Database } from './database.ts'
import { decodeMessage, type MessageFacts, type MessageRecord } from './record.ts'
import type { RecordCache } from './record-cache.ts'
import type { RecordCodec } from './record-codec.ts'

export interface StoredMessage {
  readonly facts: MessageRecord
  readonly source: MessageSource
}

export class StoredMessages {
  readonly #db: Database
  readonly #files: BodyFiles
  readonly #cache: RecordCache
  readonly #codec: RecordCodec
  readonly #damaged: (message: MessageId, problem: string) => void

  /** `damaged` hears of bodies whose files are not what they were. */
  constructor(
    db: Database,
    files: BodyFiles,
    cache: RecordCache,
    codec: RecordCodec,
    damaged: (message: MessageId, problem: string) => void,
  ) {
    this.#db = db
    this.#files = files
    this.#cache = cache
    this.#codec = codec
    this.#damaged = damaged
  }

  /** @throws CorruptRecord when the record cannot be read. */
  find(id: MessageId): StoredMessage | undefined {
    const bytes = this.#cache.get(id) ?? this.#stored(id)
    if (bytes === undefined) return undefined
    const facts = decodeMessage(bytes)
    const { head, body } = facts
    return { facts, source: body === undefined ? this.fromFile(id, head, facts) : smallSource(head, body) }
  }

  fromFile(id: MessageId, head: Uint8Array, facts: MessageFacts): MessageSource {
    const damaged = (problem: string): void => this.#damaged(id, problem)
    return { head, size: head.length + facts.bodyLength, body: (call) => this.#files.readOf(facts, damaged, call) }
  }

  #stored(id: MessageId): Uint8Array | undefined {
    const bytes = this.#db.messages.get(id)
    return bytes && this.#codec.openMessage(id, bytes)
  }
}

function smallSource(head: Uint8Array, body: Uint8Array): MessageSource {
  return {
    head,
    size: head.length + body.length,
    buffered: body,
    async *body(call: Call): AsyncGenerator<Uint8Array> {
      call.signal.throwIfAborted()
      if (body.length > 0) yield body
    },
  }
}
