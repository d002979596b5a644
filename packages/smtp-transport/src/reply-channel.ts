/**
 * One wire, as the client's side of a dialogue sees it: commands out, replies in, one deadline. Whatever ends the
 * dialogue (close, reset, deadline, garbage) is told once, as `lost`, and the wire is destroyed. Knows no commands.
 *
 * The deadline is a number; the timer behind it is armed anew only when it would fire too late. A busy connection
 * moves its deadline some four times per message and touches a timer once in a while.
 */
import type { Clock, Timer, Wire } from '@mailwright/core'
import type { Loss } from './delivery.ts'
import { ReplyReader, type ServerReply } from './reply-reader.ts'

/** Text in ASCII goes out as Latin-1, which Node writes without measuring it first. */
const NOT_ASCII = /[^\x00-\x7f]/

export interface ReplyListener {
  /** The server said something. */
  replied(answer: ServerReply): void
  /** The dialogue is over. Called once; nothing follows. */
  lost(loss: Loss): void
  /** The wire takes more after `send` answered false. Not called when the dialogue is lost. */
  drained?(): void
  /** The deadline passed. Without this method that is a loss. */
  expired?(): void
}

export class ReplyChannel {
  readonly #wire: Wire
  readonly #clock: Clock
  readonly #reader = new ReplyReader()
  #listener: ReplyListener
  #timer: Timer | undefined
  /** When the timer fires, if it is armed. */
  #firesAt = Number.POSITIVE_INFINITY
  #deadline = Number.POSITIVE_INFINITY
  #state: 'open' | 'detached' | 'over' = 'open'

  constructor(wire: Wire, clock: Clock, listener: ReplyListener) {
    this.#wire = wire
    this.#clock = clock
    this.#listener = listener
    wire.on('data', this.#received)
    wire.on('drain', this.#drained)
    wire.on('error', this.#ended)
    wire.on('end', this.#ended)
    wire.on('close', this.#ended)
    if (wire.destroyed) queueMicrotask(this.#ended)
  }

  /** Whether the server has sent bytes that nobody has read: none may be there when TLS starts (RFC 3207 §6). */
  get unread(): boolean {
    return this.#reader.pending
  }

  /** Hands the dialogue to another listener. */
  listen(listener: ReplyListener): void {
    this.#listener = listener
  }

  /** Writes; false when the wire would rather wait (see `drained`). */
  send(data: string | Uint8Array): boolean {
    if (this.#state !== 'open' || data.length === 0) return true
    if (typeof data !== 'string') return this.#wire.write(data)
    return this.#wire.write(data, NOT_ASCII.test(data) ? 'utf8' : 'latin1')
  }

  /** Holds writes back until `release`, so that they leave together. */
  hold(): void {
    this.#wire.cork()
  }

  release(): void {
    this.#wire.uncork()
  }

  /** The next reply, or drain, must come within `ms`. Replaces the deadline before. */
  within(ms: number): void {
    this.#deadline = this.#clock.now() + ms
    if (this.#deadline < this.#firesAt) this.#arm(ms)
  }

  /** Gives the wire up undamaged, for TLS to take over. */
  detach(): Wire {
    this.#end('detached')
    this.#wire.pause()
    return this.#wire
  }

  /** Ends the dialogue at once. The listener is not told. */
  destroy(): void {
    if (this.#state !== 'open') return
    this.#end('over')
    this.#wire.on('error', ignored)
    this.#wire.destroy()
  }

  #arm(ms: number): void {
    this.#timer?.cancel()
    this.#firesAt = this.#clock.now() + ms
    this.#timer = this.#clock.after(ms, this.#fired)
  }

  readonly #fired = (): void => {
    this.#firesAt = Number.POSITIVE_INFINITY
    const left = this.#deadline - this.#clock.now()
    if (left > 0) this.#arm(left)
    else if (this.#listener.expired !== undefined) this.#listener.expired()
    else this.#lose('timeout')
  }

  readonly #received = (chunk: Uint8Array): void => {
    this.#reader.push(chunk)
    while (this.#state === 'open') {
      const answer = this.#reader.next()
      if (answer === undefined) return
      if (answer === 'garbage') {
        this.#lose('garbage')
        return
      }
      this.#listener.replied(answer)
    }
  }

  readonly #drained = (): void => this.#listener.drained?.()

  readonly #ended = (): void => this.#lose('closed')

  #lose(loss: Loss): void {
    if (this.#state !== 'open') return
    this.destroy()
    this.#listener.lost(loss)
  }

  #end(state: 'detached' | 'over'): void {
    this.#state = state
    this.#timer?.cancel()
    this.#timer = undefined
    const wire = this.#wire
    wire.off('data', this.#received)
    wire.off('drain', this.#drained)
    wire.off('error', this.#ended)
    wire.off('end', this.#ended)
    wire.off('close', this.#ended)
  }
}

/** A late error of a wire given up is no news. */
function ignored(): void {}
