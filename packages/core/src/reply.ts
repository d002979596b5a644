/**
 * What *we* say on the wire: an SMTP reply with its enhanced status code (RFC 5321 §4.2, RFC 3463, RFC 2034).
 * The class of the enhanced code is tied to the reply code by type: `reply(451, '5.3.0', …)` does not compile.
 */
import type { RemoteTls } from './remote-tls.ts'

/** Reply codes of success. `354` is not here: it has no enhanced code and belongs to the protocol engine. */
export type PositiveCode = 211 | 214 | 220 | 221 | 235 | 250 | 251 | 252
/** Reply codes that ask the client to try again later. */
export type TransientCode = 421 | 430 | 432 | 450 | 451 | 452 | 454 | 455 | 458 | 459
/** Reply codes that ask the client to give up. */
export type PermanentCode =
  | 500
  | 501
  | 502
  | 503
  | 504
  | 521
  | 523
  | 530
  | 534
  | 535
  | 538
  | 550
  | 551
  | 552
  | 553
  | 554
  | 555
  | 556
export type ReplyCode = PositiveCode | TransientCode | PermanentCode

/** The first digit that an enhanced code must have beside a reply code. */
export type ReplyClass<C extends ReplyCode> = C extends PositiveCode ? 2 : C extends TransientCode ? 4 : 5
/** An enhanced status code, `class.subject.detail` (RFC 3463). */
export type EnhancedCode<Class extends 2 | 4 | 5 = 2 | 4 | 5> = `${Class}.${number}.${number}`

/** A reply of ours. `text` is one line, or several for a multi-line reply; it never holds a line break. */
export interface Reply<C extends ReplyCode = ReplyCode> {
  readonly code: C
  readonly enhanced: EnhancedCode<ReplyClass<C>>
  readonly text: string | readonly string[]
}

/** A reply that refuses, for now or for good. */
export type Refusal = Reply<TransientCode> | Reply<PermanentCode> | Reply<TransientCode | PermanentCode>

/** What *they* said: a remote server's answer, kept verbatim. */
export interface RemoteAnswer {
  /** The host that answered: `mx1.example.net[192.0.2.1]:25` or the like. */
  readonly host: string
  readonly code: number
  readonly enhanced?: string
  /** The text of each line, without code and separator. */
  readonly lines: readonly string[]
  /** The TLS it came over; absent for clear text. */
  readonly tls?: RemoteTls | undefined
}

/**
 * Makes a reply. Line breaks and other control characters in the text become spaces, so that no input can add a line.
 *
 * @example
 * reply(550, '5.1.1', 'no such mailbox')
 */
export function reply<C extends ReplyCode>(
  code: C,
  enhanced: EnhancedCode<ReplyClass<C>>,
  text: string | readonly string[],
): Reply<C> {
  return { code, enhanced, text: typeof text === 'string' ? wireText(text) : text.map(wireText) }
}

/** Control characters that could split a line or confuse a terminal, Unicode's among them; TAB is kept. */
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]+/g

/** Makes a text safe to stand in one line of a reply or a log: control characters become one space. */
export function wireText(text: string): string {
  return text.replace(CONTROL, ' ')
}

/** Whether a reply accepts (class 2). */
export function isPositive(answer: Reply): answer is Reply<PositiveCode> {
  return answer.code < 400
}

/** Whether a reply refuses, for now or for good. */
export function isRefusal(answer: Reply): answer is Refusal {
  return answer.code >= 400
}

/** Whether a reply asks for another try. */
export function isTransient(answer: Reply): answer is Reply<TransientCode> {
  return answer.code >= 400 && answer.code < 500
}

/** Whether the connection ends after this reply (RFC 5321 §3.8, RFC 7504). */
export function closesConnection(answer: Reply): boolean {
  return answer.code === 421 || answer.code === 521
}

/** A reply as one readable line: `550 5.1.1 no such mailbox`. For logs, events and DSNs; not for the wire. */
export function replyLine(answer: Reply): string {
  return `${answer.code} ${answer.enhanced} ${typeof answer.text === 'string' ? answer.text : answer.text.join(' ')}`
}

/** The answer to any failure we cannot name: temporary, and without a word about the cause. */
export const LOCAL_ERROR: Reply<451> = reply(451, '4.3.0', 'Temporary failure, please try again later')
/** The answer when nobody can be served right now and the connection ends. */
export const SERVICE_UNAVAILABLE: Reply<421> = reply(
  421,
  '4.3.2',
  'Service not available, closing transmission channel',
)
