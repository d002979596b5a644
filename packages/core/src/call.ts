/** What every waiting operation is given: a way to be told that nobody waits any more. */
export interface Call {
  /** Aborted when the caller gives up: shutdown, lost client, exceeded deadline. */
  readonly signal: AbortSignal
}

/** A value, or a promise of it. Hot paths answer without a promise where they can. */
export type Awaitable<T> = T | Promise<T>
