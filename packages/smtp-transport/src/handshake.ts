/**
 * From a connected address to a session ready for mail: greeting, EHLO (or HELO), STARTTLS (RFC 3207) and EHLO again.
 * A session that cannot be had is a value; the caller tries the next address. With `may`, a TLS handshake that fails
 * is followed by one more connection to the same address in clear text.
 */
import {
  type Call,
  type Clock,
  type DeferredOutcome,
  type Environment,
  type SecureWire,
  sleep,
  type Wire,
} from '@mailwright/core'
import { type Capabilities, capabilitiesOf, NO_CAPABILITIES } from './capabilities.ts'
import { deferred, type Loss, lost, refusedForNow } from './delivery.ts'
import type { Settings } from './options.ts'
import { ReplyChannel, type ReplyListener } from './reply-channel.ts'
import type { ServerReply } from './reply-reader.ts'
import { proofProblem, type TlsRequirement } from './tls-requirement.ts'

/** A host's address to talk to. */
export interface Target {
  /** The host's name, or its address where there is no name. */
  readonly host: string
  readonly address: string
  readonly port: number
  /** Whether the host's name can be relied on: a name from insecure DNS may be anybody's. */
  readonly authentic: 'yes' | 'no'
}

/**
 * Who can read a session. `verified`: encrypted, and the certificate matched the host's name, which is authentic.
 * `local`: it does not leave the machine.
 */
export type Security = 'clear' | 'encrypted' | 'verified' | 'local'

export interface OpenSession {
  readonly status: 'open'
  /** Names the server in outcomes: `mx.example.org[192.0.2.1]:25`. */
  readonly label: string
  readonly channel: ReplyChannel
  readonly capabilities: Capabilities
  readonly security: Security
}

export interface NoSession {
  /** `unreachable`: no connection was made; `refused`: one was, to no avail. */
  readonly status: 'unreachable' | 'refused'
  readonly outcome: DeferredOutcome
}

/** Opens a session with one address. Never rejects; an abort is a loss like any other, and leaves nothing open. */
export async function openSession(
  target: Target,
  tls: TlsRequirement,
  settings: Settings,
  environment: Environment,
  call: Call,
): Promise<OpenSession | NoSession> {
  const encrypted = await attemptSession(target, tls, settings, environment, call)
  if (encrypted !== 'handshake failed') return encrypted
  if (tls.use === 'opportunistic' && !call.signal.aborted) {
    const clear = await attemptSession(target, { use: 'never' }, settings, environment, call)
    if (clear !== 'handshake failed') return clear
  }
  return noSession(deferred('destination', '4.7.5', `TLS handshake with ${labelOf(target)} failed`))
}

/** A socket of this machine: nobody is between. */
function isUnix({ address }: Target): boolean {
  return address.startsWith('/')
}

function labelOf(target: Target): string {
  if (isUnix(target)) return `unix:${target.address}`
  return `${target.host}[${target.address}]:${target.port}`
}

async function attemptSession(
  target: Target,
  tls: TlsRequirement,
  settings: Settings,
  environment: Environment,
  call: Call,
): Promise<OpenSession | NoSession | 'handshake failed'> {
  const label = labelOf(target)
  const { clock, net } = environment
  const { greeting, helo } = settings.timeoutsMs
  const connected = await inTime(clock, settings.connectMs, call, (limited) =>
    net.connect({ host: target.address, port: target.port }, limited),
  )
  if (connected.status === 'failed') {
    const outcome = deferred('destination', '4.4.1', `cannot connect to ${label}`, connected.cause)
    return { status: 'unreachable', outcome }
  }

  let talk = new Conversation(connected.value, clock, call)
  const welcome = await talk.ask(undefined, greeting)
  if (typeof welcome === 'string') {
    return talk.giveUp(lost(label, welcome, 'before it greeted', 'destination'))
  }
  // Also a 5xx is no verdict on our mail: Postfix's smtp_skip_5xx_greeting.
  if (welcome.code !== 220) return talk.giveUp(refusedForNow(label, welcome, 'destination'))

  let offered = await introduce(talk, label, settings)
  if ('status' in offered) return offered
  if (tls.use === 'never' || (tls.use === 'opportunistic' && !offered.startTls)) {
    const security = isUnix(target) ? 'local' : 'clear'
    return { status: 'open', label, channel: talk.leave(), capabilities: offered, security }
  }
  if (!offered.startTls) {
    return talk.giveUp(deferred('destination', '4.7.4', `TLS is required, but ${label} does not offer it`))
  }

  const consent = await talk.ask('STARTTLS\r\n', helo)
  if (typeof consent === 'string') {
    talk.leave().destroy()
    return consent === 'stopped' ? noSession(lost(label, consent, 'at STARTTLS', 'destination')) : 'handshake failed'
  }
  if (consent.code !== 220) {
    if (tls.use === 'mandatory') return talk.giveUp(refusedForNow(label, consent, 'destination'))
    return { status: 'open', label, channel: talk.leave(), capabilities: offered, security: 'clear' }
  }
  const clearText = talk.leave()
  if (talk.unheard) {
    // Bytes behind the 220 came in clear text; a server that sends them is not the one we should encrypt to.
    clearText.destroy()
    return noSession(deferred('destination', '4.7.5', `${label} sent clear text where TLS begins`))
  }
  const wire = clearText.detach()
  const secured = await inTime(clock, helo, call, (limited) =>
    net.secure(
      wire,
      { servername: target.host, verify: false, ca: authorities(tls), minVersion: tls.minVersion },
      limited,
    ),
  )
  if (secured.status === 'failed') {
    wire.destroy()
    return 'handshake failed'
  }
  const problem = proofProblem(tls.proof, secured.value, clock.now())
  if (problem !== undefined) {
    secured.value.wire.destroy()
    return noSession(deferred('destination', '4.7.5', `${label} is not who it should be: ${problem}`))
  }
  talk = new Conversation(secured.value.wire, clock, call)
  offered = await introduce(talk, label, settings)
  if ('status' in offered) return offered
  const security = isProven(tls, secured.value, target) ? 'verified' : 'encrypted'
  return { status: 'open', label, channel: talk.leave(), capabilities: offered, security }
}

function authorities({ proof }: TlsRequirement): readonly string[] | undefined {
  return proof?.by === 'authority' ? proof.ca : undefined
}

/** Whether the session is with whom the mail is for, and nobody between can read it. */
function isProven({ proof }: TlsRequirement, secured: SecureWire, { authentic }: Target): boolean {
  if (proof === undefined) return secured.authorized && authentic === 'yes'
  return proof.by !== 'authority' || proof.vouched === 'yes' || authentic === 'yes'
}

/** EHLO, and HELO for a server that does not know it; LHLO in LMTP. */
async function introduce(talk: Conversation, label: string, settings: Settings): Promise<Capabilities | NoSession> {
  const timeout = settings.timeoutsMs.helo
  const lmtp = settings.protocol === 'lmtp'
  let answer = await talk.ask(`${lmtp ? 'LHLO' : 'EHLO'} ${settings.hostname}\r\n`, timeout)
  if (typeof answer !== 'string' && answer.code === 250) return capabilitiesOf(answer.lines)
  if (!lmtp && typeof answer !== 'string' && answer.code >= 500 && answer.code !== 521) {
    answer = await talk.ask(`HELO ${settings.hostname}\r\n`, timeout)
    if (typeof answer !== 'string' && answer.code === 250) return NO_CAPABILITIES
  }
  return talk.giveUp(
    typeof answer === 'string'
      ? lost(label, answer, 'while introducing ourselves', 'destination')
      : refusedForNow(label, answer, 'destination'),
  )
}

function noSession(outcome: DeferredOutcome): NoSession {
  return { status: 'refused', outcome }
}

/** Question and answer, one at a time, as promises: what comes before mail is not hot. */
class Conversation implements ReplyListener {
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
  giveUp(outcome: DeferredOutcome): NoSession {
    this.#channel.send('QUIT\r\n')
    this.leave().destroy()
    return noSession(outcome)
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

type InTime<T> = { readonly status: 'done'; readonly value: T } | { readonly status: 'failed'; readonly cause: unknown }

/** Runs work that takes a signal, and aborts it when the time is over. */
async function inTime<T>(
  clock: Clock,
  limitMs: number,
  call: Call,
  work: (limited: Call) => Promise<T>,
): Promise<InTime<T>> {
  const done = new AbortController()
  const late = new AbortController()
  const waiting = sleep(clock, limitMs, done.signal).then(
    () => late.abort(new Error(`no success within ${limitMs} ms`)),
    () => undefined,
  )
  try {
    const value = await work({ signal: AbortSignal.any([call.signal, late.signal]) })
    return { status: 'done', value }
  } catch (cause) {
    return { status: 'failed', cause }
  } finally {
    done.abort()
    await waiting
  }
}
