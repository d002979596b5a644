/**
 * The server's clock, by which leases end, as against the clock of this node. Answers that matter tell what time the server
 * had when we said what time we have.
 */

/** Clocks less apart than this, in ms, count as one: it may as well be the time that an answer took. */
const SAME_MS = 100

export class ServerClock {
  readonly #whose: 'server' | 'caller'
  /** What this node's clock is ahead, in ms. */
  #ahead = 0

  constructor(whose: 'server' | 'caller') {
    this.#whose = whose
  }

  /** What a script is told: the time where the caller's clock is meant, nothing where the server's own is. */
  given(now: number): number | '' {
    return this.#whose === 'caller' ? now : ''
  }

  /** The server said that it was `server` after we said that it was `now`. */
  learn(server: number, now: number): void {
    const ahead = now - server
    this.#ahead = Math.abs(ahead) < SAME_MS ? 0 : ahead
  }

  /** A time of ours as the server has it. */
  toServer(at: number): number {
    return at - this.#ahead
  }

  /** A time of the server's as we have it. */
  toOurs(at: number): number {
    return at + this.#ahead
  }
}
