/** The seam between the dialogue's rules and the connection that carries it. */
import type { Awaitable } from '@mailwright/core'

/** What the rules may ask of their connection. */
export interface Line {
  readonly tls: 'none' | 'offered' | 'active'
  readonly draining: boolean
  /** Sends text soon, in one write with whatever else is ready. */
  say(wire: string): void
  /** Sends what is left and ends the connection. Nothing is read any more. */
  close(): void
  /** The next bytes are message data. */
  startData(): void
  /** Begins the handshake. */
  startTls(): void
  /** A reply that was outstanding has been said: read on. */
  proceed(): void
  /** Something threw that must not. */
  bug(where: string, error: unknown): void
}

/** Deals with an answer: true when it was dealt with at once, false when `line.proceed()` will be called. */
export type Gate<A> = (answer: Awaitable<A>) => boolean

/**
 * Makes the place where one kind of answer is dealt with, now or when it comes. Made once per connection, so that an
 * answer that has to be waited for costs no closures, and one that is there costs no tick.
 */
export function gate<A>(line: Line, settle: (answer: A) => void, fail: (error: unknown) => void): Gate<A> {
  const late = (answer: A): void => {
    try {
      settle(answer)
    } catch (error) {
      fail(error)
    }
    line.proceed()
  }
  const lateFailure = (error: unknown): void => {
    fail(error)
    line.proceed()
  }
  return (answer: Awaitable<A>): boolean => {
    if (answer instanceof Promise) {
      answer.then(late, lateFailure)
      return false
    }
    settle(answer)
    return true
  }
}
