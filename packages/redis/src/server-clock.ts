/** The server's clock, by which leases end, as against the clock of this node: every answer with a lease tells both. */
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

  /** The server said that it was `server` when we said that it was `now`. */
  learn(server: number, now: number): void {
    this.#ahead = now - server
  }

  /** A time of ours as the server has it. */
  toServer(at: number): number {
    return at - this.#ahead
  }
}
