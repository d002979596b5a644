/**
 * What the stages before a message have come to: refusals kept for RCPT, and what they leave for the message (edits,
 * and votes to discard or hold it). Connect lasts for the connection, HELO until the next one, MAIL for its transaction.
 */
import { type Ruling, SILENCE, together } from './stage.ts'

export type EarlyStage = 'connect' | 'helo' | 'mail'

export class StageResults {
  #connectRefusal: Ruling | undefined
  #heloRefusal: Ruling | undefined
  #mailRefusal: Ruling | undefined
  #connect: Ruling = SILENCE
  #helo: Ruling = SILENCE
  /** For the transaction: all stages so far. */
  #transaction: Ruling = SILENCE

  /** The refusal to answer at RCPT: the earliest. */
  get refusal(): Ruling | undefined {
    return this.#connectRefusal ?? this.#heloRefusal ?? this.#mailRefusal
  }

  /** What all stages leave for the message of this transaction. */
  get forMessage(): Ruling {
    return this.#transaction
  }

  keepRefusal(stage: EarlyStage, ruling: Ruling): void {
    if (stage === 'connect') this.#connectRefusal = ruling
    else if (stage === 'helo') this.#heloRefusal = ruling
    else this.#mailRefusal = ruling
  }

  connected(ruling: Ruling): void {
    this.#connect = together(SILENCE, ruling)
  }

  greeted(ruling: Ruling): void {
    this.#helo = together(SILENCE, ruling)
  }

  /** A transaction begins. */
  begin(): void {
    this.#transaction = together(this.#connect, this.#helo)
    this.#mailRefusal = undefined
  }

  /** A stage of the transaction leaves this. */
  add(ruling: Ruling): void {
    this.#transaction = together(this.#transaction, ruling)
  }

  forgetConnect(): void {
    this.#connectRefusal = undefined
    this.#connect = SILENCE
  }

  forgetHelo(): void {
    this.#heloRefusal = undefined
    this.#helo = SILENCE
  }

  forgetMail(): void {
    this.#mailRefusal = undefined
  }
}
