/**
 * Whether the server can take mail now. It cannot while it is away, nor after a write found no room; then it is tried with a
 * small write whenever somebody asks, so there is no timer.
 */
import type { Reply, TransientCode } from '@mailwright/core'
import { STORAGE_AWAY, STORAGE_FULL } from './failure.ts'
import type { Link } from './link.ts'
import { TRY_TO_WRITE } from './upkeep-scripts.ts'

export class ServerRoom {
  readonly #link: Link
  readonly #onChange: (reply: Reply<TransientCode> | null) => void
  #isFull = false
  #isTrying = false
  #told: Reply<TransientCode> | null = null

  constructor(link: Link, onChange: (reply: Reply<TransientCode> | null) => void) {
    this.#link = link
    this.#onChange = onChange
  }

  refusing(): Reply<TransientCode> | null {
    if (this.#isFull) this.#try()
    return this.#reply()
  }

  /** A write found no room. */
  full(): void {
    this.#isFull = true
    this.tell()
  }

  /** A write found room. */
  succeeded(): void {
    if (!this.#isFull) return
    this.#isFull = false
    this.tell()
  }

  /** Tells of a change, where there is one. */
  tell(): void {
    const reply = this.#reply()
    if (reply === this.#told) return
    this.#told = reply
    this.#onChange(reply)
  }

  #reply(): Reply<TransientCode> | null {
    if (!this.#link.isUp) return STORAGE_AWAY
    return this.#isFull ? STORAGE_FULL : null
  }

  #try(): void {
    if (this.#isTrying || !this.#link.isUp) return
    this.#isTrying = true
    this.#link.run(TRY_TO_WRITE, []).then(
      () => {
        this.#isTrying = false
        this.succeeded()
      },
      () => {
        this.#isTrying = false
      },
    )
  }
}
