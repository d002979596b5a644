/**
 * AUTH (RFC 4954): the exchanges of one conversation between the client and the authenticator. It knows base64, order
 * and limits, and no mechanism.
 *
 * A back end that breaks is `454 4.7.0`, never a success. A client that is gone, sends what is no base64, or says `*`
 * cancels its exchange. What the client sends here is in no event and no error. Whether a user may do something is not
 * decided here.
 */
import {
  type AuthenticationExchange,
  type AuthenticationStep,
  type Authenticator,
  type Dialogue,
  isPositive,
  isTransient,
  MailwrightError,
  type Reply,
} from '@mailwright/core'
import { type Line, later } from './line.ts'
import type { Manners } from './manners.ts'
import * as replies from './replies.ts'

export interface AuthenticationRules {
  readonly authenticator: Authenticator
  /** Our name, for challenges. */
  readonly hostname: string
  readonly withoutTls: 'never' | 'allowed'
  /** Failures on one connection that are answered as such; the next ends it. */
  readonly maxFailures: number
}

/** One exchange under way. */
interface Attempt {
  readonly mechanism: string
  readonly exchange: AuthenticationExchange
  readonly abort: AbortController
  /** Who it is, while the mechanism's last word is on its way to the client. */
  proven?: string
}

const COMMAND = /^AUTH ([A-Za-z0-9_-]{1,20})(?: (\S+))?$/i
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/
const GONE = new MailwrightError('ERR_MAILWRIGHT_CONNECTION', 'the client gave up its authentication')

export class Authentication {
  readonly #dialogue: Dialogue
  readonly #line: Line
  readonly #manners: Manners
  readonly #rules: AuthenticationRules
  #attempt: Attempt | undefined
  #failures = 0
  #done = false

  constructor(dialogue: Dialogue, line: Line, manners: Manners, rules: AuthenticationRules) {
    this.#dialogue = dialogue
    this.#line = line
    this.#manners = manners
    this.#rules = rules
  }

  /** The client has proved who it is, here or to a trusted host. */
  get done(): boolean {
    return this.#done || this.#dialogue.session.user !== undefined
  }

  /** The session begins again for somebody else (XCLIENT): who proved what before is forgotten. */
  forget(): void {
    this.#done = false
  }

  /** The line of the EHLO answer: nothing after a success (RFC 4954 §3), nothing where a password would be read by others. */
  keyword(): string | undefined {
    if (this.done || this.#exposed) return undefined
    const mechanisms = this.#mechanisms()
    return mechanisms.length === 0 ? undefined : `AUTH ${mechanisms.join(' ')}`
  }

  /** AUTH, after EHLO and outside a transaction. */
  command(line: string): boolean {
    if (this.done) return this.#manners.refuse('auth', replies.AUTHENTICATED_ALREADY)
    if (this.#exposed) return this.#manners.refuse('auth', replies.AUTH_NEEDS_TLS)
    const words = COMMAND.exec(line)
    if (words === null) return this.#manners.refuse('auth', replies.AUTH_SYNTAX)
    const mechanism = words[1]!.toUpperCase()
    if (!this.#mechanisms().includes(mechanism)) return this.#manners.refuse('auth', replies.UNKNOWN_MECHANISM)
    const initial = words[2] === '=' ? EMPTY : words[2] === undefined ? undefined : decoded(words[2])
    if (initial === 'no base64') return this.#manners.refuse('auth', replies.NO_BASE64)
    if (this.#manners.tired()) return this.#manners.dismiss('auth', replies.TOO_MANY_ERRORS)
    const abort = new AbortController()
    let exchange: AuthenticationExchange
    try {
      exchange = this.#rules.authenticator.begin(mechanism, this.#context(), { signal: abort.signal })
    } catch (error) {
      this.#line.bug('authentication', error)
      return this.#manners.decline('auth', replies.AUTH_UNAVAILABLE)
    }
    const attempt: Attempt = { mechanism, exchange, abort }
    this.#attempt = attempt
    return this.#step(attempt, initial)
  }

  /** What the client answers to a 334. */
  response(line: string): boolean {
    const attempt = this.#attempt
    if (attempt === undefined) return this.#manners.refuse('auth', replies.UNKNOWN_COMMAND)
    if (line === '*') return this.#giveUp(replies.AUTH_CANCELLED)
    const response = decoded(line)
    if (response === 'no base64') return this.#giveUp(replies.NO_BASE64)
    if (attempt.proven === undefined) return this.#step(attempt, response)
    // The client has seen the proof and has nothing to add.
    if (response.length > 0) return this.#giveUp(replies.NO_BASE64)
    return this.#await(this.#welcome(attempt, attempt.proven))
  }

  /** The exchange, if there is one, comes to nothing. */
  cancel(): void {
    const attempt = this.#attempt
    if (attempt === undefined) return
    this.#attempt = undefined
    try {
      attempt.exchange.cancel()
    } catch (error) {
      this.#line.bug('authentication cancel', error)
    }
    attempt.abort.abort(GONE)
  }

  /** Nobody else's network in between, or nobody who minds. */
  get #exposed(): boolean {
    return this.#rules.withoutTls === 'never' && this.#line.tls !== 'active'
  }

  #mechanisms(): readonly string[] {
    return this.#rules.authenticator.mechanisms(this.#dialogue.session)
  }

  #context(): Parameters<Authenticator['begin']>[1] {
    const { session } = this.#dialogue
    return { session, hostname: this.#rules.hostname, channelBinding: this.#line.channelBinding() }
  }

  #giveUp(refusal: Reply): boolean {
    this.cancel()
    return this.#manners.refuse('auth', refusal)
  }

  #step(attempt: Attempt, response: Uint8Array | undefined): false {
    return this.#await(this.#advance(attempt, response))
  }

  #await(work: Promise<void>): false {
    return later(this.#line, work, nothing, (error) => this.#broke(error))
  }

  async #advance(attempt: Attempt, response: Uint8Array | undefined): Promise<void> {
    const step = await attempt.exchange.step(response)
    // The client went away meanwhile.
    if (this.#attempt !== attempt) return
    switch (step.kind) {
      case 'challenge':
        return this.#challenge(step.data)
      case 'failure':
        return this.#failed(attempt, step)
      case 'success':
        if (step.data === undefined) return this.#welcome(attempt, step.user)
        attempt.proven = step.user
        return this.#challenge(step.data)
    }
  }

  #challenge(data: Uint8Array): void {
    this.#line.say(`334 ${Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64')}\r\n`)
    this.#line.expectResponse()
  }

  async #welcome(attempt: Attempt, user: string): Promise<void> {
    const answer = await this.#dialogue.authenticated(user, attempt.mechanism)
    if (this.#attempt !== attempt) return
    this.#attempt = undefined
    this.#done = isPositive(answer)
    this.#say(answer)
  }

  #failed(attempt: Attempt, failure: AuthenticationStep & { readonly kind: 'failure' }): void {
    this.#attempt = undefined
    const said = failure.reply ?? replies.NOT_AUTHENTICATED
    // Trouble of the back end is no guess at a password.
    if (!isTransient(said)) {
      this.#failures++
      this.#manners.authenticationFailed()
    }
    const answer = this.#failures > this.#rules.maxFailures ? replies.TOO_MANY_AUTH_FAILURES : said
    try {
      this.#dialogue.notAuthenticated(attempt.mechanism, failure.reason, failure.user, answer)
    } catch (error) {
      this.#line.bug('not authenticated', error)
    }
    this.#say(answer)
  }

  /** Something threw that must not: nobody is let in. */
  #broke(error: unknown): void {
    const gone = this.#attempt === undefined
    this.cancel()
    this.#line.bug('authentication', error)
    if (!gone) this.#manners.decline('auth', replies.AUTH_UNAVAILABLE)
  }

  #say(answer: Reply): void {
    this.#manners.pass('auth', answer)
  }
}

const EMPTY = new Uint8Array()

function decoded(text: string): Uint8Array | 'no base64' {
  return text.length % 4 === 0 && BASE64.test(text) ? Buffer.from(text, 'base64') : 'no base64'
}

function nothing(): void {}
