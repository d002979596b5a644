/** Messages as the store gives them back: from the cache, from the database, or with their body in a file. */
import type { Call, MessageId, MessageSource } from '@mailwright/core'
import type { BodyFiles } from './body-files.ts'
import type { Database } from './database.ts'
import { decodeMessage, type MessageRecord } from './record.ts'
import type { RecordCache } from './record-cache.ts'

export interface StoredMessage {
  readonly facts: MessageRecord
  readonly source: MessageSource
}

export class StoredMessages {
  readonly #db: Database
  readonly #files: BodyFiles
  readonly #cache: RecordCache

  constructor(db: Database, files: BodyFiles, cache: RecordCache) {
    this.#db = db
    this.#files = files
    this.#cache = cache
  }

  /** @throws CorruptRecord when the record cannot be read. */
  find(id: MessageId): StoredMessage | undefined {
    const bytes = this.#cache.get(id) ?? this.#db.messages.get(id)
    if (bytes === undefined) return undefined
    const facts = decodeMessage(bytes)
    const { head, body, file } = facts
    if (body !== undefined) return { facts, source: smallSource(head, body) }
    // A record that says neither does not decode.
    return { facts, source: this.fromFile(head, facts.bodyLength, file!) }
  }

  fromFile(head: Uint8Array, bodyLength: number, file: string): MessageSource {
    return { head, size: head.length + bodyLength, body: (call) => this.#files.read(file, call) }
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
