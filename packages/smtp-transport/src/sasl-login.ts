/**
 * Proving who we are to a server before mail (RFC 4954): the strongest mechanism both know; a refused token is asked for
 * anew, once.
 *
 * A server that refuses us for good is the operator's problem and bounces no mail: `denied` defers all of it, and no other
 * host is tried, because wrong passwords lock accounts. Nothing of a secret stands in an outcome.
 */
import type { Call, DeferredOutcome, Random } from '@mailwright/core'
import type { Conversation } from './conversation.ts'
import { mechanismsFor, type SaslMechanism, type SmtpCredentials } from './credentials.ts'
import { deferred, type Loss, lost, refusedForNow } from './delivery.ts'
import type { ServerReply } from './reply-reader.ts'
import { beginSasl, type SaslExchange } from './sasl-client.ts'

/** What came of it: undefined is success. */
export type LoginFailure = { readonly status: 'refused' | 'denied'; readonly outcome: DeferredOutcome } | undefined

/** The server to log in to. */
export interface LoginPlace {
  readonly label: string
  readonly host: string
  readonly port: number
  /** What it offers after AUTH. */
  readonly offered: readonly string[]
  /** For each step, ms. */
  readonly timeoutMs: number
}

/** A server that asks for more than this many responses makes no sense. */
const MAX_STEPS = 5

/** Says who we are. Never rejects. */
export async function logIn(
  talk: Conversation,
  place: LoginPlace,
  credentials: SmtpCredentials,
  random: Random,
  call: Call,
): Promise<LoginFailure> {
  const mechanisms = mechanismsFor(credentials, place.offered)
  if (mechanisms.length === 0) return denied(`${place.label} offers no way to authenticate that we know`)
  let failure: LoginFailure
  for (const mechanism of mechanisms) {
    const answer = await proven(talk, place, credentials, mechanism, random, call)
    if (answer === undefined) return undefined
    failure = failureOf(answer, place)
    // 504, 534: not with this mechanism (RFC 4954 §4).
    if (typeof answer === 'string' || (answer.code !== 504 && answer.code !== 534)) return failure
  }
  return failure
}

/** What went wrong other than an answer. */
type Trouble = Loss | 'no token' | 'no sense'

async function proven(
  talk: Conversation,
  place: LoginPlace,
  { user, password, token }: SmtpCredentials,
  mechanism: SaslMechanism,
  random: Random,
  call: Call,
): Promise<ServerReply | Trouble | undefined> {
  const attempt = (secret: string): Promise<ServerReply | Trouble | undefined> =>
    exchanged(talk, place, mechanism, beginSasl(mechanism, { ...place, user, secret }, random))
  if (token === undefined || typeof token === 'string') return attempt(password ?? token ?? '')
  const known = await tokenOf(() => token('any', call))
  if (known === undefined) return 'no token'
  const answer = await attempt(known)
  if (answer === undefined || typeof answer === 'string' || answer.code !== 535) return answer
  const fresh = await tokenOf(() => token('fresh', call))
  if (fresh === undefined) return 'no token'
  return fresh === known ? answer : attempt(fresh)
}

/** The trouble of whoever gives tokens may quote one, so it is not passed on. */
async function tokenOf(ask: () => unknown): Promise<string | undefined> {
  try {
    const token = await ask()
    return typeof token === 'string' && token !== '' ? token : undefined
  } catch {
    return undefined
  }
}

/** One exchange; undefined when the server knows us, and has shown what it owes us. */
async function exchanged(
  talk: Conversation,
  { timeoutMs }: LoginPlace,
  mechanism: SaslMechanism,
  exchange: SaslExchange,
): Promise<ServerReply | Trouble | undefined> {
  const { initial } = exchange
  const first = initial === undefined ? '' : ` ${encoded(initial) || '='}`
  let answer = await talk.ask(`AUTH ${mechanism}${first}\r\n`, timeoutMs)
  for (let step = 0; typeof answer !== 'string' && answer.code === 334; step++) {
    const response = step < MAX_STEPS ? await exchange.respond(Buffer.from(answer.lines[0] ?? '', 'base64')) : undefined
    if (response === undefined) {
      answer = await talk.ask('*\r\n', timeoutMs)
      return typeof answer === 'string' ? answer : 'no sense'
    }
    answer = await talk.ask(`${encoded(response)}\r\n`, timeoutMs)
  }
  if (typeof answer === 'string') return answer
  if (answer.code !== 235) return answer.code >= 400 ? answer : 'no sense'
  return exchange.satisfied() ? undefined : 'no sense'
}

function encoded(text: string): string {
  return Buffer.from(text).toString('base64')
}

function failureOf(answer: ServerReply | Trouble, { label }: LoginPlace): LoginFailure {
  if (answer === 'no token') return denied('there is no access token to authenticate with')
  if (answer === 'no sense') return denied(`${label} does not prove that it knows us`)
  if (typeof answer === 'string') {
    return { status: 'refused', outcome: lost(label, answer, 'while authenticating', 'destination') }
  }
  const said = refusedForNow({ label }, answer, 'destination')
  if (answer.code < 500) return { status: 'refused', outcome: said }
  return { status: 'denied', outcome: { ...said, reply: { ...said.reply, code: 451, enhanced: '4.7.8' } } }
}

function denied(text: string): LoginFailure {
  return { status: 'denied', outcome: deferred('destination', '4.7.8', text) }
}
