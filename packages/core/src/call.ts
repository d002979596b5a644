/** What every waiting operation is given: a way to be told that nobody waits any more. */
export interface Call {
  /** Aborted when the caller gives up: shutdown, lost client, exceeded deadline. */
  readonly signal: AbortSignal
  /** Whether the caller has given up, for who only looks: spares the making of a signal. Absent: ask the signal. */
  readonly aborted?: boolean
}

/**
 * Throws the reason when the caller has given up.
 *
 * @example
 * throwIfAborted(call)
 */
export function throwIfAborted(call: Call): void {
  if (call.aborted !== false) call.signal.throwIfAborted()
}

/** A value, or a promise of it. Hot paths answer without a promise where they can. */
export type Awaitable<T> = T | Promise<T>
