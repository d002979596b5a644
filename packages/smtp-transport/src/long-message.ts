/**
 * Sends a message that is not in memory, no faster than the server takes it: by DATA, or as one chunk of BDAT, whose
 * length is known before it is read. It never sends the end of data itself: `end` tells what that is, once all of the
 * message is sent. A source that breaks, or gives another number of bytes
 * than the message has, makes `send` reject: a message cut short must not be ended as if it were whole.
 */
import { type Call, MailwrightError, type MessageSource } from '@mailwright/core'
import { dotStuffer, lineNormalizer } from '@mailwright/message'
import { lastChunk } from './message-data.ts'
import type { ReplyChannel } from './reply-channel.ts'

const NOTHING: Uint8Array = new Uint8Array()

export class LongMessage {
  readonly #channel: ReplyChannel
  readonly #message: MessageSource
  readonly #transfer: 'data' | 'bdat'
  /** How long the network may take over one block, ms. */
  readonly #blockMs: number
  readonly #lines = lineNormalizer()
  readonly #dots = dotStuffer()
  #state: 'sending' | 'given up' = 'sending'
  #wake: (() => void) | undefined

  constructor(channel: ReplyChannel, message: MessageSource, transfer: 'data' | 'bdat', blockMs: number) {
    this.#channel = channel
    this.#message = message
    this.#transfer = transfer
    this.#blockMs = blockMs
  }

  /** Sends head and body; stops early when it is given up. */
  async send(call: Call): Promise<void> {
    if (this.#transfer === 'bdat') this.#channel.send(lastChunk(this.#message.size))
    let read = this.#message.head.length
    await this.#block(this.#message.head)
    if (this.#givenUp()) return
    for await (const chunk of this.#message.body(call)) {
      if (this.#givenUp()) return
      read += chunk.length
      // Beyond the length that BDAT has told, bytes would be commands.
      if (read > this.#message.size) break
      await this.#block(chunk)
    }
    if (this.#givenUp()) return
    if (read !== this.#message.size) {
      const problem = `the message has ${this.#message.size} bytes, its source gave ${read}`
      throw new MailwrightError('ERR_MAILWRIGHT_STORE', problem)
    }
  }

  /** What ends the data, after `send`. */
  end(): Uint8Array {
    return this.#transfer === 'data' ? this.#dots.end() : NOTHING
  }

  /** The wire takes more. */
  drained(): void {
    if (this.#state === 'sending') this.#channel.within(this.#blockMs)
    this.#resume()
  }

  /** Stop: the dialogue is over. */
  giveUp(): void {
    this.#state = 'given up'
    this.#resume()
  }

  #givenUp(): boolean {
    return this.#state === 'given up'
  }

  async #block(bytes: Uint8Array): Promise<void> {
    this.#channel.within(this.#blockMs)
    const wanted = this.#transfer === 'data' ? this.#dots.push(this.#lines.push(bytes)) : bytes
    if (this.#channel.send(wanted)) return
    await new Promise<void>((resolve) => {
      this.#wake = resolve
    })
  }

  #resume(): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }
}
