/** Records as they are on the disk: as `record.ts` writes them, and sealed around that where the spool has keys. */
import type { MessageId } from '@mailwright/core'
import {
  CorruptRecord,
  decodeEntry,
  decodeFacts,
  decodeMessage,
  type EntryRow,
  encodeEntry,
  type MessageFacts,
  type MessageRecord,
} from './record.ts'

/** Locks records up, each for one place: what was sealed for another does not open. */
export interface Seal {
  /** Whether bytes are sealed, by whichever key. */
  isSealed(bytes: Uint8Array): boolean
  seal(place: string, plain: Uint8Array): Uint8Array
  /** Throws for anything that is not as it was sealed. */
  open(place: string, sealed: Uint8Array): Uint8Array
}

export class RecordCodec {
  readonly #seal: Seal | undefined

  constructor(seal: Seal | undefined) {
    this.#seal = seal
  }

  /** An encoded message, ready to be stored. */
  sealMessage(id: MessageId, record: Uint8Array): Uint8Array {
    return this.#seal === undefined ? record : this.#seal.seal(messagePlace(id), record)
  }

  /** What `sealMessage` was given. @throws CorruptRecord */
  openMessage(id: MessageId, bytes: Uint8Array): Uint8Array {
    return this.#open(messagePlace, bytes, id, 0)
  }

  /** @throws CorruptRecord */
  message(id: MessageId, bytes: Uint8Array): MessageRecord {
    return decodeMessage(this.#open(messagePlace, bytes, id, 0))
  }

  /** @throws CorruptRecord */
  facts(id: MessageId, bytes: Uint8Array): MessageFacts {
    return decodeFacts(this.#open(messagePlace, bytes, id, 0))
  }

  sealEntry(id: MessageId, entry: number, row: EntryRow): Uint8Array {
    const record = encodeEntry(row)
    return this.#seal === undefined ? record : this.#seal.seal(entryPlace(id, entry), record)
  }

  /** @throws CorruptRecord */
  entry(id: MessageId, entry: number, bytes: Uint8Array): EntryRow {
    return decodeEntry(this.#open(entryPlace, bytes, id, entry))
  }

  #open(place: (id: MessageId, entry: number) => string, bytes: Uint8Array, id: MessageId, entry: number): Uint8Array {
    if (this.#seal === undefined || !this.#seal.isSealed(bytes)) return bytes
    try {
      return this.#seal.open(place(id, entry), bytes)
    } catch (cause) {
      throw new CorruptRecord('the record cannot be opened', { cause })
    }
  }
}

function messagePlace(id: MessageId): string {
  return `message ${id}`
}

function entryPlace(id: MessageId, entry: number): string {
  return `entry ${id} ${entry}`
}
