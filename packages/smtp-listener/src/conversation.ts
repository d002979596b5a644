/**
 * The verbs of SMTP and LMTP (RFC 5321 §4.1, RFC 2033) between the reader and the intake's dialogue.
 *
 * It decides on syntax, sequence, and what the engine offers. Everything about mail is the dialogue's: its replies are
 * sent as they stand. Commands are answered strictly in order; an answer that is no promise costs no tick.
 * A dialogue that throws although it must not is answered with 451 4.3.0 and reported as a `failure`.
 */
import {
  type Awaitable,
  type Capability,
  type Clock,
  type Dialogue,
  isPositive,
  LOCAL_ERROR,
  type Reply,
  SERVICE_UNAVAILABLE,
  type TlsFacts,
} from '@mailwright/core'
import { Authentication, type AuthenticationRules } from './authentication.ts'
import type { ClientGate } from './client-gate.ts'
import { etrnDomain } from './etrn.ts'
import type { Extensions } from './extension.ts'
import { keywords } from './keywords.ts'
import { type Line, later } from './line.ts'
import { Manners } from './manners.ts'
import type { MailTerms } from './parameters.ts'
import type { Patience } from './patience.ts'
import type { BrokenLine } from './reader.ts'
import * as replies from './replies.ts'
import { Transaction } from './transaction.ts'
import { BAD_ATTRIBUTE, type TrustedVerb, trustedKeywords, xclientClaims, xforwardFacts } from './trusted-hosts.ts'

export interface ConversationRules {
  readonly protocol: 'smtp' | 'lmtp'
  readonly maxSize: number
  readonly maxRecipients: number
  /** What the intake honours. */
  readonly capabilities: ReadonlySet<Capability>
  /** For parameters that name a time. */
  readonly clock: Clock
  readonly auth: AuthenticationRules | undefined
  readonly extensions: Extensions | undefined
  /** What a host that may speak for others may say. */
  readonly trust?: ReadonlySet<TrustedVerb> | undefined
  /** Errors of the client before it is slowed down, and before it is sent away. */
  readonly patience: Patience
  /** What stands between this client and its mail, if anything does. */
  readonly gate: ClientGate | undefined
}

/** RFC 5321 §4.5.3.1.2, with the brackets of a literal. */
const LONGEST_HELO = 257
const HTTP = /^(?:GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH) /i

export class Conversation implements MailTerms {
  readonly manners: Manners
  readonly transaction: Transaction
  readonly #dialogue: Dialogue
  readonly #line: Line
  readonly #rules: ConversationRules
  readonly #authentication: Authentication | undefined
  #verb: 'EHLO' | 'HELO' | 'LHLO' = 'HELO'
  #greeted = false
  #extended = false
  #over = false

  constructor(dialogue: Dialogue, line: Line, rules: ConversationRules) {
    this.#dialogue = dialogue
    this.#line = line
    this.#rules = rules
    this.manners = new Manners(dialogue, line, rules.patience, rules.gate)
    this.#authentication = rules.auth && new Authentication(dialogue, line, this.manners, rules.auth)
    this.transaction = new Transaction(dialogue, line, this.manners, rules)
  }

  /** Whether the client has introduced itself. */
  get greeted(): boolean {
    return this.#greeted
  }

  /** The greeting. False when the answer is not there yet. */
  greet(): boolean {
    try {
      const answer = this.#dialogue.greet()
      if (answer instanceof Promise)
        return later(
          this.#line,
          answer,
          (it) => this.#greetAnswered(it),
          (why) => this.#greetFailed(why),
        )
      this.#greetAnswered(answer)
    } catch (error) {
      this.#greetFailed(error)
    }
    return true
  }

  /** One whole command line. True when it is answered; false when `proceed` will be called. */
  command(line: string): boolean {
    const blank = line.indexOf(' ')
    const verb = (blank < 0 ? line : line.slice(0, blank)).toUpperCase()
    if (this.#line.draining && !this.transaction.open && verb !== 'QUIT') {
      return this.manners.dismiss('drain', SERVICE_UNAVAILABLE)
    }
    try {
      return this.#obey(verb, line, blank < 0 ? 'bare' : 'with argument')
    } catch (error) {
      this.#failed(error)
      return true
    }
  }

  /** A line that is no command. */
  broken(problem: BrokenLine): true {
    this.#authentication?.cancel()
    return this.manners.broken(problem)
  }

  /** A response within AUTH. */
  response(line: string): boolean {
    return this.#authentication === undefined || this.#authentication.response(line)
  }

  /** Whether EHLO offered what rests on this capability. */
  offers(capability: Capability): boolean {
    if (!this.#rules.capabilities.has(capability)) return false
    return capability !== 'requiretls' || this.#line.tls === 'active'
  }

  /** Whose word on the submitter of a message counts (RFC 4954 §5). */
  get submitters(): 'not offered' | 'dropped' | 'believed' {
    if (this.#authentication === undefined) return 'not offered'
    return this.#authentication.done ? 'believed' : 'dropped'
  }

  now(): number {
    return this.#rules.clock.now()
  }

  /** TLS is up after STARTTLS: what the client said before is forgotten (RFC 3207 §4.2). */
  secured(tls: TlsFacts): void {
    this.#greeted = false
    this.#extended = false
    this.transaction.end()
    try {
      this.#dialogue.secured(tls)
    } catch (error) {
      this.#line.bug('secured', error)
      this.manners.dismiss('starttls', replies.CONNECTION_FAILED)
    }
  }

  /** The connection is gone. */
  over(): void {
    if (this.#over) return
    this.#over = true
    this.transaction.lost()
    this.#authentication?.cancel()
    try {
      this.#dialogue.close()
    } catch (error) {
      this.#line.bug('close', error)
    }
  }

  #obey(verb: string, line: string, form: 'bare' | 'with argument'): boolean {
    switch (verb) {
      case 'MAIL':
        if (!this.#greeted) return this.manners.refuse('mail', this.#introduceYourself)
        return this.transaction.mail(line, this.#extended ? this : undefined)
      case 'RCPT':
        return this.transaction.rcpt(line, this.#extended ? this : undefined)
      case 'EHLO':
      case 'HELO':
      case 'LHLO':
        return this.#helo(verb, line)
      case 'NOOP':
        return this.manners.humour('noop', replies.OK)
      case 'HELP':
        return this.manners.humour('help', replies.HELP)
      case 'VRFY':
        if (form === 'bare') return this.manners.refuse('vrfy', replies.VRFY_SYNTAX)
        return this.#ask('vrfy', () => this.#dialogue.vrfy(line.slice(5)))
      case 'DATA':
      case 'RSET':
      case 'QUIT':
      case 'STARTTLS':
        return form === 'bare' ? this.#obeyBare(verb) : this.manners.refuse(verb.toLowerCase(), replies.NO_ARGUMENT)
      case 'BDAT':
        return this.transaction.chunks.command(line, this.#extended ? undefined : this.#introduceYourself)
      case 'AUTH':
        if (this.#authentication === undefined) return this.manners.refuse('auth', replies.NOT_IMPLEMENTED)
        if (!this.#extended) return this.manners.refuse('auth', this.#introduceYourself)
        if (this.transaction.open) return this.manners.refuse('auth', replies.NESTED_MAIL)
        if (this.manners.barred('auth')) return true
        return this.#authentication.command(line)
      case 'ETRN':
        return this.#etrn(line)
      case 'EXPN':
      case 'TURN':
      case 'SEND':
      case 'SOML':
      case 'SAML':
        return this.manners.refuse(verb.toLowerCase(), replies.NOT_IMPLEMENTED)
      case 'XCLIENT':
      case 'XFORWARD':
        return this.#speakFor(verb, line)
      default:
        return this.#obeyHost(verb, line)
    }
  }

  /** A verb of the host's own, or none. */
  #obeyHost(verb: string, line: string): boolean {
    const handler = this.#rules.extensions?.verbs.get(verb)
    if (handler === undefined) {
      return HTTP.test(line) ? this.#http() : this.manners.refuse('unknown', replies.UNKNOWN_COMMAND)
    }
    return this.#ask(verb.toLowerCase(), () => handler(line.slice(verb.length + 1), this.#dialogue.session))
  }

  /** What follows may be commands that somebody had a browser send: nobody is listened to any more, unless that is wanted. */
  #http(): boolean {
    const tests = this.#rules.gate?.tests
    if (tests === undefined || !tests.pending('otherProtocol') || !tests.tolerates('otherProtocol'))
      return this.manners.dismiss('unknown', replies.NOT_HTTP)
    this.manners.caught('unknown', tests.fail('otherProtocol'))
    return this.manners.refuse('unknown', replies.UNKNOWN_COMMAND)
  }

  #etrn(line: string): boolean {
    if (!this.offers('etrn')) return this.manners.refuse('etrn', replies.NOT_IMPLEMENTED)
    if (!this.#extended) return this.manners.refuse('etrn', this.#introduceYourself)
    if (this.transaction.open) return this.manners.refuse('etrn', replies.NESTED_MAIL)
    const domain = etrnDomain(line)
    if (domain === undefined) return this.manners.refuse('etrn', replies.ETRN_SYNTAX)
    return this.#ask('etrn', () => this.#dialogue.etrn(domain))
  }

  /** A command that moves no mail and that somebody else answers. */
  #ask(stage: string, question: () => Awaitable<Reply>): boolean {
    if (this.manners.tired()) return this.manners.dismiss(stage, replies.TOO_MANY_ERRORS)
    const answer = question()
    if (answer instanceof Promise)
      return later(
        this.#line,
        answer,
        (it) => this.manners.pass(stage, it),
        (why) => this.#failed(why),
      )
    this.manners.pass(stage, answer)
    return true
  }

  #obeyBare(verb: 'DATA' | 'RSET' | 'QUIT' | 'STARTTLS'): boolean {
    switch (verb) {
      case 'DATA':
        return this.transaction.data()
      case 'RSET':
        this.transaction.end()
        this.#dialogue.reset()
        return this.manners.humour('rset', replies.OK)
      case 'QUIT':
        this.#line.say(replies.wireReply(replies.BYE))
        this.#line.part()
        return true
      case 'STARTTLS':
        return this.#starttls()
    }
  }

  #helo(verb: 'EHLO' | 'HELO' | 'LHLO', line: string): boolean {
    const lmtp = this.#rules.protocol === 'lmtp'
    if (lmtp !== (verb === 'LHLO')) return this.manners.refuse('helo', lmtp ? replies.USE_LHLO : replies.USE_EHLO)
    const name = line.slice(5)
    if (name === '' || name.length > LONGEST_HELO || !/^[\x21-\x7e]+$/.test(name)) {
      return this.manners.refuse('helo', replies.HELO_SYNTAX)
    }
    if (this.manners.tired()) return this.manners.dismiss('helo', replies.TOO_MANY_ERRORS)
    this.transaction.end()
    this.#verb = verb
    const answer = this.#dialogue.helo(verb, name)
    if (answer instanceof Promise)
      return later(
        this.#line,
        answer,
        (it) => this.#heloAnswered(it),
        (why) => this.#failed(why),
      )
    this.#heloAnswered(answer)
    return true
  }

  #starttls(): boolean {
    if (this.#line.tls === 'active') return this.manners.refuse('starttls', replies.TLS_ACTIVE)
    if (this.#line.tls === 'none') return this.manners.refuse('starttls', replies.NOT_IMPLEMENTED)
    if (this.transaction.open) return this.manners.refuse('starttls', replies.NESTED_MAIL)
    // What was proved in clear text would have to be forgotten (RFC 3207 §4.2).
    if (this.#authentication?.done === true) return this.manners.refuse('starttls', replies.AUTHENTICATED_ALREADY)
    if (this.manners.barred('starttls')) return true
    this.#line.say(replies.wireReply(replies.READY_FOR_TLS))
    this.#line.startTls()
    return true
  }

  /** A trusted host says who its client is. After XCLIENT the session begins again. */
  #speakFor(verb: TrustedVerb, line: string): boolean {
    const stage = verb.toLowerCase()
    if (this.#rules.trust?.has(verb) !== true) return this.manners.refuse(stage, replies.NOT_IMPLEMENTED)
    if (this.transaction.open) return this.manners.refuse(stage, replies.NESTED_MAIL)
    if (verb === 'XFORWARD') {
      const facts = xforwardFacts(line)
      if (facts === undefined) return this.manners.refuse(stage, BAD_ATTRIBUTE)
      this.#line.forwarded(this.#dialogue.session, facts)
      return this.manners.humour(stage, replies.OK)
    }
    const claimed = xclientClaims(line, this.#dialogue.session)
    if ('refusal' in claimed) return this.manners.refuse(stage, claimed.refusal)
    if (this.manners.tired()) return this.manners.dismiss(stage, replies.TOO_MANY_ERRORS)
    this.#greeted = false
    this.#extended = false
    this.#authentication?.forget()
    const answer = this.#dialogue.claimed(claimed.claims)
    if (answer instanceof Promise)
      return later(
        this.#line,
        answer,
        (it) => this.#greetAnswered(it),
        (why) => this.#greetFailed(why),
      )
    this.#greetAnswered(answer)
    return true
  }

  #greetAnswered(answer: Reply): void {
    const welcome = isPositive(answer)
    this.#line.say(welcome ? replies.wireGreeting(answer, []) : replies.wireReply(answer))
    if (!welcome) this.#line.close()
  }

  #heloAnswered(answer: Reply): void {
    if (!isPositive(answer)) {
      this.manners.pass('helo', answer)
      return
    }
    this.#greeted = true
    this.#extended = this.#verb !== 'HELO'
    this.#line.say(replies.wireGreeting(answer, this.#extended ? this.#keywords() : []))
  }

  /** What EHLO offers. A new extension has its keyword in `keywords.ts` and its parameters in `parameters.ts`. */
  #keywords(): readonly string[] {
    const { maxSize, maxRecipients, clock, extensions } = this.#rules
    return keywords({
      terms: this,
      maxSize,
      maxRecipients,
      now: clock.now(),
      auth: this.#authentication?.keyword(),
      own: extensions?.keywords(this.#dialogue.session),
      tls: this.#line.tls,
      trusted: this.#rules.trust && trustedKeywords(this.#rules.trust),
    })
  }

  get #introduceYourself(): Reply {
    return this.#rules.protocol === 'lmtp' ? replies.LHLO_FIRST : replies.HELO_FIRST
  }

  #failed(error: unknown): void {
    this.#line.bug('command', error)
    this.#line.say(replies.wireReply(LOCAL_ERROR))
  }

  #greetFailed(error: unknown): void {
    this.#line.bug('greeting', error)
    this.#line.say(replies.wireReply(replies.CONNECTION_FAILED))
    this.#line.close()
  }
}
