/**
 * The verbs of SMTP and LMTP (RFC 5321 §4.1, RFC 2033) between the reader and the intake's dialogue.
 *
 * It decides on syntax, sequence, and what the engine offers. Everything about mail is the dialogue's: its replies are
 * sent as they stand. Commands are answered strictly in order; an answer that is no promise costs no tick.
 * A dialogue or sink that throws although it must not is answered with 451 4.3.0 and reported as a `failure`.
 */
import {
  type Awaitable,
  type BodySink,
  closesConnection,
  type DataAnswer,
  type Dialogue,
  isPositive,
  LOCAL_ERROR,
  type Reply,
  SERVICE_UNAVAILABLE,
  type TlsFacts,
} from '@mailwright/core'
import { type Parsed, parseMail, parseRcpt } from './parameters.ts'
import type { BrokenLine } from './reader.ts'
import * as replies from './replies.ts'

/** What the conversation may ask of its connection. */
export interface Line {
  readonly tls: 'none' | 'offered' | 'active'
  readonly draining: boolean
  /** Sends text soon, in one write with whatever else is ready. */
  say(wire: string): void
  /** Sends what is left and ends the connection. Nothing is read any more. */
  close(): void
  /** The next bytes are message data. */
  startData(): void
  /** Begins the handshake. */
  startTls(): void
  /** A reply that was outstanding has been sent: read on. */
  proceed(): void
  bug(where: string, error: unknown): void
}

export interface ConversationRules {
  readonly protocol: 'smtp' | 'lmtp'
  readonly maxSize: number
  readonly maxRecipients: number
  /** Refusals of the engine before it hangs up. */
  readonly maxJunk: number
}

/** What an outstanding answer is an answer to. */
type Step = 'greet' | 'helo' | 'ehlo' | 'mail' | 'rcpt' | 'data'

/** Commands that move no mail, before the engine hangs up. */
const MOST_IDLE_COMMANDS = 100
const MOST_BARE_LF = 3
/** RFC 5321 §4.5.3.1.2, with the brackets of a literal. */
const LONGEST_HELO = 257
const HTTP = /^(?:GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH) /i

export class Conversation {
  readonly #dialogue: Dialogue
  readonly #line: Line
  readonly #rules: ConversationRules
  #greeted = false
  #extended = false
  /** MAIL was accepted. */
  #transaction = false
  #international = false
  #recipients = 0
  #sink: BodySink | null = null
  #step: Step = 'greet'
  #junk = 0
  #bareLf = 0
  #idleCommands = 0
  #over = false

  constructor(dialogue: Dialogue, line: Line, rules: ConversationRules) {
    this.#dialogue = dialogue
    this.#line = line
    this.#rules = rules
  }

  /** A mail transaction is under way: it may be finished even while the server stops. */
  get inTransaction(): boolean {
    return this.#transaction
  }

  /** Whether the client has introduced itself. */
  get greeted(): boolean {
    return this.#greeted
  }

  /** The greeting. False when the answer is not there yet. */
  greet(): boolean {
    this.#step = 'greet'
    try {
      return this.#when(this.#dialogue.greet())
    } catch (error) {
      return this.#failed(error)
    }
  }

  /** The engine itself refuses. Too many of these, and it hangs up. */
  refuse(stage: string, refusal: Reply): true {
    const tooMany = ++this.#junk > this.#rules.maxJunk && !closesConnection(refusal)
    const answer = tooMany ? replies.TOO_MANY_ERRORS : refusal
    this.tell(stage, answer)
    this.#line.say(replies.wireReply(answer))
    if (closesConnection(answer)) this.#line.close()
    return true
  }

  /** The engine refuses and hangs up. */
  dismiss(stage: string, refusal: Reply): true {
    this.tell(stage, refusal)
    this.#line.say(replies.wireReply(refusal))
    this.#line.close()
    return true
  }

  /** Lets the dialogue know of a refusal that was not its own. */
  tell(stage: string, refusal: Reply): void {
    try {
      this.#dialogue.refused(stage, refusal)
    } catch (error) {
      this.#line.bug('refused', error)
    }
  }

  /** One whole command line. True when it is answered; false when `proceed` will be called. */
  command(line: string): boolean {
    const blank = line.indexOf(' ')
    const verb = (blank < 0 ? line : line.slice(0, blank)).toUpperCase()
    if (this.#line.draining && !this.#transaction && verb !== 'QUIT') {
      return this.dismiss(stageOf(verb), SERVICE_UNAVAILABLE)
    }
    switch (verb) {
      case 'MAIL':
        return this.#mail(line)
      case 'RCPT':
        return this.#rcpt(line)
      case 'DATA':
        return blank < 0 ? this.#data() : this.refuse('data', replies.NO_ARGUMENT)
      case 'EHLO':
      case 'HELO':
      case 'LHLO':
        return this.#helo(verb, line)
      case 'RSET':
        return blank < 0 ? this.#rset() : this.refuse('rset', replies.NO_ARGUMENT)
      case 'NOOP':
        return this.#aside(replies.OK)
      case 'QUIT':
        return blank < 0 ? this.#quit() : this.refuse('quit', replies.NO_ARGUMENT)
      case 'STARTTLS':
        return blank < 0 ? this.#starttls() : this.refuse('starttls', replies.NO_ARGUMENT)
      case 'HELP':
        return this.#aside(replies.HELP)
      case 'VRFY':
        return blank < 0 ? this.refuse('vrfy', replies.VRFY_SYNTAX) : this.#aside(replies.CANNOT_VRFY)
      case 'BDAT':
        // Its octets would follow as if they were commands.
        return this.dismiss('bdat', replies.CHUNKING_NOT_OFFERED)
      case 'AUTH':
      case 'EXPN':
      case 'ETRN':
      case 'TURN':
      case 'SEND':
      case 'SOML':
      case 'SAML':
      case 'XCLIENT':
      case 'XFORWARD':
        return this.refuse(stageOf(verb), replies.NOT_IMPLEMENTED)
      default:
        return HTTP.test(line)
          ? this.dismiss('unknown', replies.NOT_HTTP)
          : this.refuse('unknown', replies.UNKNOWN_COMMAND)
    }
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

  /** Message data. After a failure of the sink the rest is read and thrown away. */
  data(data: Uint8Array): Awaitable<void> {
    const sink = this.#sink
    if (sink === null) return
    try {
      const written = sink.write(data)
      return written instanceof Promise ? written.catch(this.#sinkFailed) : undefined
    } catch (error) {
      this.#sinkFailed(error)
    }
  }

  /** The final dot. */
  dataEnd(): boolean {
    const sink = this.#sink
    this.#sink = null
    if (sink === null) {
      this.#sendReceipts([])
      return true
    }
    try {
      const receipts = sink.end()
      if (receipts instanceof Promise) {
        receipts.then(this.#ended, this.#endFailed)
        return false
      }
      this.#sendReceipts(receipts)
    } catch (error) {
      this.#line.bug('body end', error)
      this.#sendReceipts([])
    }
    return true
  }

  /** The message will not be finished. */
  abortData(): void {
    const sink = this.#sink
    this.#sink = null
    try {
      sink?.abort()
    } catch (error) {
      this.#line.bug('body abort', error)
    }
  }

  /** TLS is up after STARTTLS: what the client said before is forgotten (RFC 3207 §4.2). */
  secured(tls: TlsFacts): void {
    this.#greeted = false
    this.#extended = false
    this.#endTransaction()
    try {
      this.#dialogue.secured(tls)
    } catch (error) {
      this.#line.bug('secured', error)
      this.dismiss('starttls', replies.CONNECTION_FAILED)
    }
  }

  /** The connection is gone. Once. */
  over(): void {
    if (this.#over) return
    this.#over = true
    this.abortData()
    try {
      this.#dialogue.close()
    } catch (error) {
      this.#line.bug('close', error)
    }
  }

  #helo(verb: 'EHLO' | 'HELO' | 'LHLO', line: string): boolean {
    const lmtp = this.#rules.protocol === 'lmtp'
    if (lmtp !== (verb === 'LHLO')) return this.refuse('helo', lmtp ? replies.USE_LHLO : replies.USE_EHLO)
    const name = line.slice(5)
    if (name === '' || name.length > LONGEST_HELO || !/^[\x21-\x7e]+$/.test(name)) {
      return this.refuse('helo', replies.HELO_SYNTAX)
    }
    if (this.#tooIdle()) return this.refuse('helo', replies.TOO_MANY_ERRORS)
    this.#endTransaction()
    this.#step = verb === 'HELO' ? 'helo' : 'ehlo'
    try {
      return this.#when(this.#dialogue.helo(verb, name))
    } catch (error) {
      return this.#failed(error)
    }
  }

  #mail(line: string): boolean {
    if (!this.#greeted)
      return this.refuse('mail', this.#rules.protocol === 'lmtp' ? replies.LHLO_FIRST : replies.HELO_FIRST)
    if (this.#transaction) return this.refuse('mail', replies.NESTED_MAIL)
    const parsed = parseMail(line, this.#extended ? 'extended' : 'plain')
    if (parsed.refusal !== undefined) return this.refuse('mail', parsed.refusal)
    this.#step = 'mail'
    this.#international = parsed.command.options.smtputf8 === true
    try {
      return this.#when(this.#dialogue.mail(parsed.command))
    } catch (error) {
      return this.#failed(error)
    }
  }

  #rcpt(line: string): boolean {
    if (!this.#transaction) return this.refuse('rcpt', replies.MAIL_FIRST)
    const parsed: Parsed<Parameters<Dialogue['rcpt']>[0]> = parseRcpt(
      line,
      this.#international ? 'international' : 'ascii',
    )
    if (parsed.refusal !== undefined) return this.refuse('rcpt', parsed.refusal)
    if (this.#recipients >= this.#rules.maxRecipients) {
      // No junk: a big list is sent in several messages (RFC 5321 §4.5.3.1.10).
      this.tell('rcpt', replies.TOO_MANY_RECIPIENTS)
      this.#line.say(replies.wireReply(replies.TOO_MANY_RECIPIENTS))
      return true
    }
    this.#step = 'rcpt'
    try {
      return this.#when(this.#dialogue.rcpt(parsed.command))
    } catch (error) {
      return this.#failed(error)
    }
  }

  #data(): boolean {
    if (!this.#transaction) return this.refuse('data', replies.MAIL_FIRST)
    if (this.#recipients === 0) return this.refuse('data', replies.NO_RECIPIENTS)
    this.#step = 'data'
    try {
      const answer = this.#dialogue.data()
      if (answer instanceof Promise) {
        answer.then(this.#dataAnswered, this.#answerFailed)
        return false
      }
      this.#goAhead(answer)
    } catch (error) {
      this.#failed(error)
    }
    return true
  }

  #goAhead(answer: DataAnswer): void {
    if (answer.kind === 'refuse') {
      this.#reply(answer.reply)
      return
    }
    if (this.#over) {
      this.#sink = answer.body
      this.abortData()
      return
    }
    this.#sink = answer.body
    this.#line.say(replies.GO_AHEAD)
    this.#line.startData()
  }

  #rset(): true {
    if (this.#tooIdle()) return this.refuse('rset', replies.TOO_MANY_ERRORS)
    this.#endTransaction()
    try {
      this.#dialogue.reset()
    } catch (error) {
      return this.#failed(error)
    }
    this.#line.say(replies.wireReply(replies.OK))
    return true
  }

  #aside(answer: Reply): true {
    if (this.#tooIdle()) return this.refuse('noop', replies.TOO_MANY_ERRORS)
    this.#line.say(replies.wireReply(answer))
    return true
  }

  #quit(): true {
    this.#line.say(replies.wireReply(replies.BYE))
    this.#line.close()
    return true
  }

  #starttls(): true {
    if (this.#line.tls === 'active') return this.refuse('starttls', replies.TLS_ACTIVE)
    if (this.#line.tls === 'none') return this.refuse('starttls', replies.NOT_IMPLEMENTED)
    if (this.#transaction) return this.refuse('starttls', replies.NESTED_MAIL)
    this.#line.say(replies.wireReply(replies.READY_FOR_TLS))
    this.#line.startTls()
    return true
  }

  #tooIdle(): boolean {
    return ++this.#idleCommands > MOST_IDLE_COMMANDS
  }

  #endTransaction(): void {
    this.#transaction = false
    this.#international = false
    this.#recipients = 0
  }

  /** Settles the step now, or when the answer comes. */
  #when(answer: Awaitable<Reply>): boolean {
    if (answer instanceof Promise) {
      answer.then(this.#answered, this.#answerFailed)
      return false
    }
    this.#settle(answer)
    return true
  }

  #settle(answer: Reply): void {
    const accepted = isPositive(answer)
    switch (this.#step) {
      case 'greet':
        this.#line.say(accepted ? replies.wireGreeting(answer, []) : replies.wireReply(answer))
        if (!accepted) this.#line.close()
        return
      case 'helo':
      case 'ehlo':
        if (!accepted) break
        this.#greeted = true
        this.#extended = this.#step === 'ehlo'
        this.#line.say(replies.wireGreeting(answer, this.#extended ? this.#keywords() : []))
        return
      case 'mail':
        this.#transaction = accepted
        break
      case 'rcpt':
        if (accepted) this.#recipients++
        break
    }
    this.#reply(answer)
  }

  #keywords(): readonly string[] {
    const offered = ['PIPELINING', `SIZE ${this.#rules.maxSize}`, '8BITMIME', 'SMTPUTF8', 'ENHANCEDSTATUSCODES']
    return this.#line.tls === 'offered' ? [...offered, 'STARTTLS'] : offered
  }

  #reply(answer: Reply): void {
    this.#line.say(replies.wireReply(answer))
    if (closesConnection(answer)) this.#line.close()
  }

  /** One reply, or with LMTP one per accepted recipient; a sink that gave too few is made up for. */
  #sendReceipts(receipts: readonly Reply[]): void {
    const wanted = this.#rules.protocol === 'lmtp' ? this.#recipients : 1
    let closes = false
    for (let index = 0; index < wanted; index++) {
      const answer = receipts[index] ?? LOCAL_ERROR
      this.#line.say(replies.wireReply(answer))
      closes ||= closesConnection(answer)
    }
    this.#junk = 0
    this.#idleCommands = 0
    this.#endTransaction()
    if (closes) this.#line.close()
  }

  #failed(error: unknown): true {
    this.#line.bug(this.#step, error)
    if (this.#step === 'greet') {
      this.#line.say(replies.wireReply(replies.CONNECTION_FAILED))
      this.#line.close()
    } else this.#line.say(replies.wireReply(LOCAL_ERROR))
    return true
  }

  // Bound once, so that an answer that has to be waited for costs no closure per command. None of them throws.
  readonly #answered = (answer: Reply): void => {
    try {
      this.#settle(answer)
    } catch (error) {
      this.#failed(error)
    }
    this.#line.proceed()
  }
  readonly #answerFailed = (error: unknown): void => {
    this.#failed(error)
    this.#line.proceed()
  }
  readonly #dataAnswered = (answer: DataAnswer): void => {
    try {
      this.#goAhead(answer)
    } catch (error) {
      this.#failed(error)
    }
    this.#line.proceed()
  }
  readonly #ended = (receipts: readonly Reply[]): void => {
    try {
      this.#sendReceipts(receipts)
    } catch (error) {
      this.#failed(error)
    }
    this.#line.proceed()
  }
  readonly #endFailed = (error: unknown): void => {
    this.#line.bug('body end', error)
    this.#ended([])
  }
  readonly #sinkFailed = (error: unknown): void => {
    this.#line.bug('body write', error)
    this.abortData()
  }
}

function stageOf(verb: string): string {
  return /^[A-Z]{1,10}$/.test(verb) ? verb.toLowerCase() : 'unknown'
}
