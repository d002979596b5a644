/**
 * What the engine refuses by itself, and how often it bears it. Every such refusal is told to the dialogue, so that the
 * operator sees all of them. Refusals by the intake are not counted here: how many of those to bear is policy.
 */
import { closesConnection, type Dialogue, type Reply } from '@mailwright/core'
import type { Line } from './line.ts'
import type { BrokenLine } from './reader.ts'
import * as replies from './replies.ts'

/** Commands that move no mail, before the engine hangs up. */
const MOST_IDLE_COMMANDS = 100
const MOST_BARE_LF = 3

export class Manners {
  readonly #dialogue: Dialogue
  readonly #line: Line
  readonly #maxJunk: number
  #junk = 0
  #bareLf = 0
  #idleCommands = 0

  constructor(dialogue: Dialogue, line: Line, maxJunk: number) {
    this.#dialogue = dialogue
    this.#line = line
    this.#maxJunk = maxJunk
  }

  /** Refuses. Too many of these, and the engine hangs up instead. */
  refuse(stage: string, refusal: Reply): true {
    return ++this.#junk > this.#maxJunk ? this.dismiss(stage, replies.TOO_MANY_ERRORS) : this.decline(stage, refusal)
  }

  /** Refuses what is no mistake of the client. */
  decline(stage: string, refusal: Reply): true {
    this.tell(stage, refusal)
    this.#line.say(replies.wireReply(refusal))
    if (closesConnection(refusal)) this.#line.close()
    return true
  }

  /** Refuses and hangs up. */
  dismiss(stage: string, refusal: Reply): true {
    this.tell(stage, refusal)
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

  /** A message has come through: mistakes made on the way are forgiven. */
  forgive(): void {
    this.#junk = 0
    this.#idleCommands = 0
  }

  /** Lets the dialogue know of a refusal that was not its own. */
  tell(stage: string, refusal: Reply): void {
    try {
      this.#dialogue.refused(stage, refusal)
    } catch (error) {
      this.#line.bug('refused', error)
    }
  }
}
