/**
 * What the engine refuses by itself, and how often it bears it. Every such refusal is told to the dialogue, so that the
 * operator sees all of them.
 *
 * Errors count as in Postfix's smtpd: each refusal, ours or the intake's, until a message comes through. From the soft
 * limit on every reply is held back for a while, and at the hard one the client is told 421 behind the last refusal.
 */
import { closesConnection, type Dialogue, isPositive, isRefusal, type Mailbox, type Reply } from '@mailwright/core'
import type { ClientGate, GatedStage } from './client-gate.ts'
import type { Line } from './line.ts'
import type { Patience } from './patience.ts'
import type { TestFailure } from './protocol-tests.ts'
import type { BrokenLine } from './reader.ts'
import * as replies from './replies.ts'

/** Commands that move no mail, before the engine hangs up. */
const MOST_IDLE_COMMANDS = 100
const MOST_BARE_LF = 3
/** Declined without being an error, in a session: Postfix's `smtpd_recipient_overshoot_limit`. */
const MOST_DECLINED = 1_000

export class Manners {
  readonly #dialogue: Dialogue
  readonly #line: Line
  readonly #patience: Patience
  readonly #gate: ClientGate | undefined
  #errors = 0
  #declined = 0
  #bareLf = 0
  #idleCommands = 0
  #delivered = 0

  constructor(dialogue: Dialogue, line: Line, patience: Patience, gate: ClientGate | undefined) {
    this.#dialogue = dialogue
    this.#line = line
    this.#patience = patience
    this.#gate = gate
  }

  /** Messages that came through. */
  get delivered(): number {
    return this.#delivered
  }

  /** Refuses. Too many of these, and the engine hangs up. */
  refuse(stage: string, refusal: Reply, reason?: string, recipient?: Mailbox): true {
    this.#refuse(stage, refusal, reason, recipient)
    if (!closesConnection(refusal)) this.count(stage)
    return true
  }

  /** Refuses what is no mistake of the client, within reason. */
  decline(stage: string, refusal: Reply): true {
    this.#refuse(stage, refusal)
    if (++this.#declined > MOST_DECLINED && !closesConnection(refusal)) this.count(stage)
    return true
  }

  /** Whether the client is kept from going on; then it has been refused. */
  barred(stage: GatedStage, recipient?: Mailbox): boolean {
    const barrier = this.#gate?.barrier(stage)
    return barrier !== undefined && this.refuse(stage, barrier.reply, barrier.reason, recipient)
  }

  /** The client could not prove who it is: for its rate. The refusal itself is said and counted by whoever asked. */
  authenticationFailed(): void {
    this.#gate?.authenticationFailed()
  }

  /** A reply of the intake, as it stands. A refusal counts. */
  pass(stage: string, answer: Reply): void {
    this.#line.say(replies.wireReply(answer))
    if (closesConnection(answer)) this.#line.close()
    else if (isRefusal(answer) && this.#patience.errors === 'all') this.count(stage)
  }

  /** Counts an error that was answered already. */
  count(stage: string): void {
    const { soft, hard, sleepMs } = this.#patience
    if (++this.#errors >= hard) this.dismiss(stage, replies.TOO_MANY_ERRORS)
    else if (this.#errors >= soft) this.#line.slow(sleepMs)
  }

  /** Deals with a failed protocol test; true when that ends the connection. */
  caught(stage: string, failure: TestFailure | undefined): boolean {
    if (failure === undefined) return false
    if (failure.action === 'drop') return this.dismiss(stage, failure.reply, failure.reason)
    this.tell(stage, failure.reply, failure.reason)
    return false
  }

  /** Refuses and hangs up. */
  dismiss(stage: string, refusal: Reply, reason?: string): true {
    this.tell(stage, refusal, reason)
    this.#line.say(replies.wireReply(refusal))
    this.#line.close()
    return true
  }

  /** Answers a command that moves no mail, unless there were too many of them. */
  humour(stage: string, answer: Reply): true {
    if (this.tired()) return this.dismiss(stage, replies.TOO_MANY_ERRORS)
    this.#line.say(replies.wireReply(answer))
    return true
  }

  /** Counts a command that moves no mail; true when there were too many. */
  tired(): boolean {
    return ++this.#idleCommands > MOST_IDLE_COMMANDS
  }

  /** A line that is no command. */
  broken(problem: BrokenLine): true {
    switch (problem) {
      case 'flood':
        return this.dismiss('unknown', replies.LINE_FLOOD)
      case 'too-long':
        return this.refuse('unknown', replies.LINE_TOO_LONG)
      case 'bare-lf':
        if (++this.#bareLf > MOST_BARE_LF) return this.dismiss('unknown', replies.TOO_MANY_BARE_LF)
        return this.refuse('unknown', replies.BARE_LF)
      case 'junk':
        return this.refuse('unknown', replies.JUNK)
    }
  }

  /** A message is answered. If it came through, mistakes made on the way are forgiven. */
  forgive(receipts: readonly Reply[]): void {
    if (!receipts.some(isPositive)) return
    this.#delivered++
    this.#idleCommands = 0
    if (this.#errors === 0) return
    this.#errors = 0
    this.#line.slow(0)
  }

  /** A message is answered. If it was refused, to everyone, that is an error. Failures of ours are none. */
  blame(receipts: readonly Reply[]): void {
    if (receipts.length === 0 || this.#patience.errors === 'own' || receipts.some(isPositive)) return
    this.count('message')
  }

  /** Lets the dialogue know of a refusal that was not its own. */
  tell(stage: string, refusal: Reply, reason?: string, recipient?: Mailbox): void {
    try {
      if (reason === undefined && recipient === undefined) this.#dialogue.refused(stage, refusal)
      else this.#dialogue.refused(stage, refusal, { reason, recipient })
    } catch (error) {
      this.#line.bug('refused', error)
    }
  }

  #refuse(stage: string, refusal: Reply, reason?: string, recipient?: Mailbox): void {
    this.tell(stage, refusal, reason, recipient)
    this.#line.say(replies.wireReply(refusal))
    if (closesConnection(refusal)) this.#line.close()
  }
}
