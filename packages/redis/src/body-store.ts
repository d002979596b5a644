/** The port for bodies that are too large to stand beside their message: one place that all nodes of a queue reach. */
import type { Awaitable, Call, MessageId } from '@mailwright/core'

export interface BodyStore {
  /** Called once by each node before anything else: makes what must be there. Rejects when it cannot be. */
  prepare(): Promise<void>
  /** A body that is about to arrive. `name` is used for no other body, and is safe as a file name. */
  write(name: string): BodyWriter
  /** The body of a name that `place` gave, from its first byte. Rejects when the storage fails. */
  read(name: string, call: Call): AsyncIterable<Uint8Array>
  /** After its message is gone. Never rejects: what stays is a stray. */
  remove(name: string): Promise<void>
  /**
   * Removes bodies that came to no message, long after they were written: another node's put may be under way. `strays`
   * tells which of some are no message's. Resolves with how many were removed.
   */
  sweep(strays: (bodies: readonly StoredBody[]) => Promise<readonly string[]>): Promise<number>
}

export interface StoredBody {
  readonly message: MessageId
  readonly name: string
}

/** One body on its way. */
export interface BodyWriter {
  readonly size: number
  /** A returned promise asks the writer to wait. */
  write(chunk: Uint8Array): Awaitable<void>
  /** No more bytes. Not yet durable. */
  finish(): Promise<void>
  /** Durable, under the name it resolves with, before a message may name it. */
  place(message: MessageId): Promise<string>
  /** The bytes written so far, after `finish`. */
  read(call: Call): AsyncIterable<Uint8Array>
  /** Removes it. Never rejects; twice is once. */
  discard(): Promise<void>
}
