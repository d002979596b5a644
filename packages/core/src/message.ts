/** A message at rest: a head and a body, as bytes with CRLF line ends. */
import type { Awaitable, Call } from './call.ts'

/**
 * A message that can be read as often as needed. The head (header block, capped) is in memory; header edits make a new
 * head and never copy the body. Whoever made the source owns it; a reader never changes the bytes.
 */
export interface MessageSource {
  /** The header block including the empty line that ends it, if the message has one. */
  readonly head: Uint8Array
  /** Bytes of head and body together. */
  readonly size: number
  /** The body where it is small and already in memory: the hot path reads this and nothing else. */
  readonly buffered?: Uint8Array | undefined
  /** A body already written where a store may keep it in place. */
  readonly spooled?: SpooledBody | undefined
  /** The body from its first byte, each time it is called. Rejects when the signal aborts or the storage fails. */
  body(call: Call): AsyncIterable<Uint8Array>
}

/** A large body written to its final place while it arrives, so that taking responsibility need not copy it. */
export interface Spool {
  /** A returned promise asks the writer to wait. Rejects when the storage fails. */
  write(chunk: Uint8Array): Awaitable<void>
  /** No more bytes. The body may still be unsynced: `QueueStore.put` makes it durable. */
  finish(): Promise<SpooledBody>
  /** Removes what was written. Never rejects. */
  abort(): Promise<void>
}

/** A finished spool that nobody has taken responsibility for yet. */
export interface SpooledBody {
  readonly size: number
  read(call: Call): AsyncIterable<Uint8Array>
  /** Removes it, unless a store has made it part of a message. Never rejects. */
  discard(): Promise<void>
}
