/**
 * From a connected address to a session ready for mail: greeting, EHLO (or HELO; LHLO in LMTP), STARTTLS (RFC 3207) and
 * EHLO again, and AUTH where we are somebody. A session that cannot be had is a value; the caller tries the next address.
 * With `may`, a TLS handshake that fails is followed by one more connection to the same address in clear text.
 */
import type { Call, DeferredOutcome, Environment, RemoteTls, SecureWire, TlsFailure, Wire } from '@mailwright/core'
import { type Capabilities, capabilitiesOf, NO_CAPABILITIES } from './capabilities.ts'
import { connectTo } from './connect.ts'
import { Conversation } from './conversation.ts'
import { deferred, lost, refusedForNow, type Server } from './delivery.ts'
import { inTime } from './in-time.ts'
import type { Settings } from './options.ts'
import type { ReplyChannel } from './reply-channel.ts'
import { logIn } from './sasl-login.ts'
import { isUnix, labelOf, type Target } from './target.ts'
import type { TicketBox } from './ticket-box.ts'
import { proofProblem, type TlsRequirement } from './tls-requirement.ts'
import type { Way } from './way.ts'

/**
 * Who can read a session. `verified`: encrypted, and the certificate matched the host's name, which is authentic.
 * `local`: it does not leave the machine.
 */
export type Security = 'clear' | 'encrypted' | 'verified' | 'local'

/** Names the server in outcomes, and tells of its TLS. */
export interface OpenSession extends Server {
  readonly status: 'open'
  readonly channel: ReplyChannel
  readonly capabilities: Capabilities
  readonly security: Security
  /** What is to be reported of its TLS, although mail may go. */
  readonly tlsFailure?: TlsFailure | undefined
}

export interface NoSession {
  /**
   * `unreachable`: no connection was made; `refused`: one was, to no avail; `denied`: they do not take us for whom we
   * say we are, and no other host is to be asked.
   */
  readonly status: 'unreachable' | 'refused' | 'denied'
  readonly outcome: DeferredOutcome
  readonly tlsFailure?: TlsFailure | undefined
}

/** What the sessions of one way have in common. */
export interface Journey {
  readonly way: Way
  readonly settings: Settings
  readonly environment: Environment
  readonly tickets: TicketBox
  readonly call: Call
}

/** Opens a session over a new connection. Never rejects; an abort is a loss like any other, and leaves nothing open. */
export async function openSession(
  wire: Wire,
  target: Target,
  tls: TlsRequirement,
  journey: Journey,
): Promise<OpenSession | NoSession> {
  const encrypted = await attemptSession(wire, target, tls, journey)
  if (encrypted !== 'handshake failed') return encrypted
  if (tls.use === 'opportunistic' && !journey.call.signal.aborted) {
    const { settings, environment, call } = journey
    const again = await connectTo(target.host, target.address, target.port, { ...settings, environment }, call)
    if (again.status === 'failed') return { status: 'unreachable', outcome: again.outcome }
    const clear = await attemptSession(again.wire, target, { use: 'never' }, journey)
    if (clear !== 'handshake failed') return { ...clear, tlsFailure: 'validation-failure' }
  }
  const outcome = deferred('destination', '4.7.5', `TLS handshake with ${labelOf(target)} failed`)
  return refusing(outcome, 'validation-failure')
}

async function attemptSession(
  wire: Wire,
  target: Target,
  tls: TlsRequirement,
  journey: Journey,
): Promise<OpenSession | NoSession | 'handshake failed'> {
  const label = labelOf(target)
  const { clock } = journey.environment
  const { greeting, helo } = journey.settings.timeoutsMs
  const talk = new Conversation(wire, clock, journey.call)
  const welcome = await talk.ask(undefined, greeting)
  if (typeof welcome === 'string') {
    return leave(talk, lost(label, welcome, 'before it greeted', 'destination'))
  }
  // Also a 5xx is no verdict on our mail: Postfix's smtp_skip_5xx_greeting.
  if (welcome.code !== 220) return leave(talk, refusedForNow({ label }, welcome, 'destination'))

  const offered = await introduce(talk, label, journey)
  if ('status' in offered) return offered
  if (tls.use === 'never') return enter(talk, target, offered, journey)
  if (!offered.startTls) {
    if (tls.use === 'opportunistic') return enter(talk, target, offered, journey, 'starttls-not-supported')
    const outcome = deferred('destination', '4.7.4', `TLS is required, but ${label} does not offer it`)
    return leave(talk, outcome, 'starttls-not-supported')
  }

  const consent = await talk.ask('STARTTLS\r\n', helo)
  if (typeof consent === 'string') {
    talk.leave().destroy()
    return consent === 'stopped' ? refusing(lost(label, consent, 'at STARTTLS', 'destination')) : 'handshake failed'
  }
  if (consent.code === 421 && tls.use === 'opportunistic') {
    // It closes, and may serve who does not ask for TLS.
    talk.quit()
    return 'handshake failed'
  }
  if (consent.code !== 220) {
    if (tls.use === 'opportunistic') return enter(talk, target, offered, journey, 'starttls-not-supported')
    return leave(talk, refusedForNow({ label }, consent, 'destination'), 'starttls-not-supported')
  }
  const clearText = talk.leave()
  if (talk.unheard) {
    // Bytes behind the 220 came in clear text; a server that sends them is not the one we should encrypt to.
    clearText.destroy()
    return refusing(deferred('destination', '4.7.5', `${label} sent clear text where TLS begins`), 'validation-failure')
  }
  return securedSession(clearText.detach(), target, tls, journey)
}

/** TLS over the wire, and what follows it. */
async function securedSession(
  wire: Wire,
  target: Target,
  tls: TlsRequirement,
  journey: Journey,
): Promise<OpenSession | NoSession | 'handshake failed'> {
  const label = labelOf(target)
  const { clock, net } = journey.environment
  const tickets = journey.tickets.of(target.host, target.port, tls)
  const handshake = await inTime(clock, journey.settings.timeoutsMs.helo, journey.call, (limited) =>
    net.secure(
      wire,
      {
        servername: target.host,
        verify: false,
        ca: authorities(tls),
        minVersion: tls.minVersion,
        tickets,
      },
      limited,
    ),
  )
  if (handshake.status === 'failed') {
    wire.destroy()
    return 'handshake failed'
  }
  const secured = tickets.proven(handshake.value)
  const problem = proofProblem(tls.proof, secured, clock.now())
  if (problem !== undefined) {
    secured.wire.destroy()
    const outcome = deferred('destination', '4.7.5', `${label} is not who it should be: ${problem.text}`)
    return refusing(outcome, problem.failure)
  }
  const talk = new Conversation(secured.wire, clock, journey.call)
  const offered = await introduce(talk, label, journey)
  if ('status' in offered) return offered
  const doubt = tls.doubt ?? proofProblem(tls.watched, secured, clock.now())?.failure
  return enter(talk, target, offered, journey, doubt, remoteTls(tls, secured, target))
}

/** The session is there; who we are is the last question. */
async function enter(
  talk: Conversation,
  target: Target,
  offered: Capabilities,
  { way, settings, environment, call }: Journey,
  tlsFailure?: TlsFailure,
  tls?: RemoteTls,
): Promise<OpenSession | NoSession> {
  const label = labelOf(target)
  const security = tls?.security ?? (isUnix(target) ? 'local' : 'clear')
  const { credentials } = way
  if (credentials !== undefined) {
    if (security === 'clear' && settings.authWithoutTls === 'never') {
      talk.quit()
      const problem = `credentials are for TLS only, and there is none with ${label}`
      return { status: 'denied', outcome: deferred('destination', '4.7.8', problem), tlsFailure }
    }
    const place = { ...target, label, offered: offered.auth, timeoutMs: settings.timeoutsMs.helo }
    const failure = await logIn(talk, place, credentials, environment.random, call)
    if (failure !== undefined) {
      talk.quit()
      return { ...failure, tlsFailure }
    }
  }
  return { status: 'open', label, channel: talk.leave(), capabilities: offered, security, tls, tlsFailure }
}

function authorities({ proof }: TlsRequirement): readonly string[] | undefined {
  return proof?.by === 'authority' ? proof.ca : undefined
}

function remoteTls(tls: TlsRequirement, secured: SecureWire, target: Target): RemoteTls {
  const { protocol, cipher } = secured.facts
  if (!isProven(tls, secured, target)) return { protocol, cipher, security: 'encrypted' }
  const by = tls.policy?.type === 'sts' ? 'sts' : (tls.proof?.by ?? 'authority')
  return { protocol, cipher, security: 'verified', by }
}

/** Whether the session is with whom the mail is for, and nobody between can read it. */
function isProven({ proof }: TlsRequirement, secured: SecureWire, { authentic }: Target): boolean {
  if (proof === undefined) return secured.authorized && authentic === 'yes'
  return proof.by !== 'authority' || proof.vouched === 'yes' || authentic === 'yes'
}

/** EHLO, and HELO for a server that does not know it; LHLO in LMTP. */
async function introduce(talk: Conversation, label: string, { settings }: Journey): Promise<Capabilities | NoSession> {
  const { hostname } = settings
  const timeout = settings.timeoutsMs.helo
  const lmtp = settings.protocol === 'lmtp'
  let answer = await talk.ask(`${lmtp ? 'LHLO' : 'EHLO'} ${hostname}\r\n`, timeout)
  if (typeof answer !== 'string' && answer.code === 250) return capabilitiesOf(answer.lines)
  if (!lmtp && typeof answer !== 'string' && answer.code >= 500 && answer.code !== 521) {
    answer = await talk.ask(`HELO ${hostname}\r\n`, timeout)
    if (typeof answer !== 'string' && answer.code === 250) return NO_CAPABILITIES
  }
  return leave(
    talk,
    typeof answer === 'string'
      ? lost(label, answer, 'while introducing ourselves', 'destination')
      : refusedForNow({ label }, answer, 'destination'),
  )
}

/** Ends the conversation politely. */
function leave(talk: Conversation, outcome: DeferredOutcome, tlsFailure?: TlsFailure): NoSession {
  talk.quit()
  return refusing(outcome, tlsFailure)
}

function refusing(outcome: DeferredOutcome, tlsFailure?: TlsFailure): NoSession {
  return { status: 'refused', outcome, tlsFailure }
}
