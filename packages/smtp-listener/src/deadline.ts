/**
 * One timer for all the time limits of a connection. Moving the deadline further away, which happens several times per
 * message, is a plain assignment: the timer finds out when it fires. Only a nearer deadline touches the clock.
 */
import type { Clock, Timer } from '@mailwright/core'

export class Deadline {
  readonly #clock: Clock
  readonly #expired: () => void
  #at = Number.POSITIVE_INFINITY
  #firesAt = Number.POSITIVE_INFINITY
  #timer: Timer | undefined

  /** `expired` is called once when a deadline passes; it must not throw. */
  constructor(clock: Clock, expired: () => void) {
    this.#clock = clock
    this.#expired = expired
  }

  /** Expires at `at`, ms since the epoch, instead of whatever was set before. Infinity: never. */
  set(at: number): void {
    this.#at = at
    if (at < this.#firesAt) this.#arm()
  }

  /** Expires at `at` at the latest. */
  atMost(at: number): void {
    if (at < this.#at) this.set(at)
  }

  /** Nothing expires any more and no timer is left. */
  cancel(): void {
    this.#at = Number.POSITIVE_INFINITY
    this.#firesAt = Number.POSITIVE_INFINITY
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #arm(): void {
    this.#timer?.cancel()
    this.#firesAt = this.#at
    this.#timer = this.#clock.after(Math.max(0, this.#at - this.#clock.now()), this.#check)
  }

  readonly #check = (): void => {
    this.#timer = undefined
    this.#firesAt = Number.POSITIVE_INFINITY
    if (this.#at <= this.#clock.now()) {
      this.#at = Number.POSITIVE_INFINITY
      this.#expired()
    } else if (this.#at !== Number.POSITIVE_INFINITY) {
      this.#arm()
    }
  }
}
