/**
 * The body of one transaction as the engine sees it. However receiving ends, the transaction ends with it, once; a bug
 * in between is a temporary refusal for everybody and a `failure` event.
 */
import { type Awaitable, type BodySink, isRefusal, LOCAL_ERROR, type Refusal, type Reply } from '@mailwright/core'
import { type MessageHandOff, type Reception, receiveMessage } from './receive-message.ts'

/** Whose transaction it is. */
export interface BodyOwner {
  /** Receiving is over; `taken` when somebody's mail was accepted. */
  bodyEnded(taken: boolean): void
}

export class IncomingBody implements BodySink {
  readonly #reception: Reception
  readonly #owner: BodyOwner
  readonly #handOff: MessageHandOff

  constructor(reception: Reception, owner: BodyOwner) {
    this.#reception = reception
    this.#owner = owner
    this.#handOff = receiveMessage(reception)
  }

  write(chunk: Uint8Array): Awaitable<void> {
    return this.#handOff.write(chunk)
  }

  hopeless(): Refusal | undefined {
    return this.#handOff.hopeless()
  }

  held(): number {
    return this.#handOff.held()
  }

  end(): Awaitable<readonly Reply[]> {
    try {
      const replies = this.#handOff.end()
      if (!(replies instanceof Promise)) return this.#done(replies)
      return replies.then(
        (answers) => this.#done(answers),
        (error: unknown) => this.#failed(error),
      )
    } catch (error) {
      return this.#failed(error)
    }
  }

  abort(): void {
    this.abandon()
    this.#owner.bodyEnded(false)
  }

  /** Lets go of what has come so far. */
  abandon(): void {
    this.#handOff.abort()
  }

  #done(replies: readonly Reply[]): readonly Reply[] {
    this.#owner.bodyEnded(replies.some((each) => !isRefusal(each)))
    return replies
  }

  #failed(error: unknown): readonly Reply[] {
    const { events, session, transaction } = this.#reception
    events.emit({ type: 'failure', where: 'intake', error })
    const count = session.protocol === 'lmtp' ? transaction.recipients.length : 1
    return this.#done(new Array<Reply>(count).fill(LOCAL_ERROR))
  }
}
