/** Question and answer with a server, one at a time, as promises: what comes before mail is not hot. */
import type { Call, Clock, Wire } from '@mailwright/core'
import type { Loss } from './delivery.ts'
import { ReplyChannel, type ReplyListener } from './reply-channel.ts'
import type { ServerReply } from './reply-reader.ts'

export class Conversation implements ReplyListener {
  readonly #channel: ReplyChannel
  readonly #signal: AbortSignal
  #waiting: ((answer: ServerReply | Loss) => void) | undefined
  /** What arrived before it was asked for: a greeting may, nothing else. */
  #early: ServerReply | undefined
  #over: Loss | undefined

  constructor(wire: Wire, clock: Clock, call: Call) {
    this.#signal = call.signal
    this.#channel = new ReplyChannel(wire, clock, this)
    this.#signal.addEventListener('abort', this.#aborted, { once: true })
    if (this.#signal.aborted) this.#aborted()
  }

  /** Whether the server has said more than it was asked. */
  get unheard(): boolean {
    return this.#early !== undefined || this.#channel.unread
  }

  /** Sends a command, if there is one, and waits for the reply. */
  ask(command: string | undefined, timeoutMs: number): Promise<ServerReply | Loss> {
    if (this.#over !== undefined) return Promise.resolve(this.#over)
    if (command !== undefined && this.#early !== undefined) {
      this.#channel.destroy()
      this.#over = 'garbage'
      return Promise.resolve('garbage')
    }
    if (this.#early !== undefined) {
      const answer = this.#early
      this.#early = undefined
      return Promise.resolve(answer)
    }
    return new Promise((resolve) => {
      this.#waiting = resolve
      this.#channel.within(timeoutMs)
      if (command !== undefined) this.#channel.send(command)
    })
  }

  /** Ends the conversation politely, without waiting for an answer. */
  quit(): void {
    this.#channel.send('QUIT\r\n')
    this.leave().destroy()
  }

  /** Hands the channel on. */
  leave(): ReplyChannel {
    this.#signal.removeEventListener('abort', this.#aborted)
    return this.#channel
  }

  replied(answer: ServerReply): void {
    if (this.#waiting !== undefined) this.#answer(answer)
    else if (this.#early === undefined) this.#early = answer
    else {
      this.#channel.destroy()
      this.lost('garbage')
    }
  }

  lost(loss: Loss): void {
    this.#over = loss
    this.#answer(loss)
  }

  readonly #aborted = (): void => {
    this.#channel.destroy()
    this.lost('stopped')
  }

  #answer(answer: ServerReply | Loss): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.(answer)
  }
}
