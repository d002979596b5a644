/** Records of messages put lately, so that a first attempt need not read them back. Bounded in bytes, oldest out. */
import type { MessageId } from '@mailwright/core'

export class RecordCache {
  readonly #limit: number
  readonly #records = new Map<MessageId, Uint8Array>()
  #bytes = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  get(message: MessageId): Uint8Array | undefined {
    return this.#records.get(message)
  }

  add(message: MessageId, record: Uint8Array): void {
    if (record.length > this.#limit) return
    this.remove(message)
    this.#records.set(message, record)
    this.#bytes += record.length
    for (const oldest of this.#records.keys()) {
      if (this.#bytes <= this.#limit) return
      this.remove(oldest)
    }
  }

  remove(message: MessageId): void {
    const record = this.#records.get(message)
    if (record === undefined) return
    this.#records.delete(message)
    this.#bytes -= record.length
  }
}
