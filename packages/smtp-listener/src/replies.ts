/**
 * What the engine says by itself: syntax, sequence, limits, time-outs. Everything about mail is said by the intake.
 * Also how a reply looks on the wire (RFC 5321 §4.2.1, RFC 2034). A control character never reaches the wire.
 */
import { type Reply, reply, wireText } from '@mailwright/core'

export const EARLY_TALKER: Reply<554> = reply(554, '5.5.1', 'Protocol error: you spoke before the greeting')
export const NOT_HTTP: Reply<554> = reply(554, '5.5.1', 'This is a mail server')
export const BARE_LF: Reply<500> = reply(500, '5.5.2', 'bare <LF> received')
export const TOO_MANY_BARE_LF: Reply<421> = reply(421, '4.7.0', 'bare <LF> received, closing transmission channel')
export const LINE_TOO_LONG: Reply<500> = reply(500, '5.5.6', 'Line too long')
export const LINE_FLOOD: Reply<421> = reply(421, '4.7.0', 'Line too long, closing transmission channel')
export const JUNK: Reply<500> = reply(500, '5.5.2', 'Command holds characters that do not belong there')
export const UNKNOWN_COMMAND: Reply<500> = reply(500, '5.5.1', 'Command not recognized')
export const NOT_IMPLEMENTED: Reply<502> = reply(502, '5.5.1', 'Command not implemented')
export const TOO_MANY_ERRORS: Reply<421> = reply(421, '4.7.0', 'Too many errors, closing transmission channel')
export const TOO_MANY_CONNECTIONS: Reply<421> = reply(421, '4.7.0', 'Too many connections, please try again later')
export const TIMED_OUT: Reply<421> = reply(421, '4.4.2', 'Timeout, closing transmission channel')
export const CONNECTION_FAILED: Reply<421> = reply(421, '4.3.0', 'Temporary failure, please try again later')
export const HELO_FIRST: Reply<503> = reply(503, '5.5.1', 'Send EHLO first')
export const LHLO_FIRST: Reply<503> = reply(503, '5.5.1', 'Send LHLO first')
export const NESTED_MAIL: Reply<503> = reply(503, '5.5.1', 'A mail transaction is open already')
export const MAIL_FIRST: Reply<503> = reply(503, '5.5.1', 'Send MAIL first')
export const NO_RECIPIENTS: Reply<554> = reply(554, '5.5.1', 'No valid recipients')
/** The code that RFC 2033 §4.2 demands. */
export const NO_LMTP_RECIPIENTS: Reply<503> = reply(503, '5.5.1', 'No valid recipients')
export const TOO_MANY_RECIPIENTS: Reply<452> = reply(452, '4.5.3', 'Too many recipients')
export const USE_EHLO: Reply<500> = reply(500, '5.5.1', 'This is SMTP: send EHLO')
export const USE_LHLO: Reply<500> = reply(500, '5.5.1', 'This is LMTP: send LHLO')
export const HELO_SYNTAX: Reply<501> = reply(501, '5.5.4', 'One host name or address literal is needed')
export const NO_ARGUMENT: Reply<501> = reply(501, '5.5.4', 'The command takes no argument')
export const VRFY_SYNTAX: Reply<501> = reply(501, '5.5.4', 'An address is needed')
export const TLS_ACTIVE: Reply<503> = reply(503, '5.5.1', 'TLS is active already')
export const TLS_FAILED: Reply<454> = reply(454, '4.7.0', 'TLS handshake failed')
export const AUTH_SYNTAX: Reply<501> = reply(501, '5.5.4', 'Syntax: AUTH mechanism [initial-response]')
export const AUTH_NEEDS_TLS: Reply<538> = reply(538, '5.7.11', 'Encryption is required for authentication')
export const AUTH_CANCELLED: Reply<501> = reply(501, '5.7.0', 'Authentication cancelled')
export const AUTH_UNAVAILABLE: Reply<454> = reply(454, '4.7.0', 'Temporary authentication failure')
export const AUTHENTICATED_ALREADY: Reply<503> = reply(503, '5.5.1', 'You are authenticated already')
export const NOT_AUTHENTICATED: Reply<535> = reply(535, '5.7.8', 'Authentication failed')
export const TOO_MANY_AUTH_FAILURES: Reply<421> = reply(421, '4.7.0', 'Too many authentication failures')
export const UNKNOWN_MECHANISM: Reply<504> = reply(504, '5.5.4', 'Authentication mechanism not supported')
export const NO_BASE64: Reply<501> = reply(501, '5.5.2', 'Response is not what was expected')
export const BDAT_SYNTAX: Reply<501> = reply(501, '5.5.4', 'Syntax: BDAT size [LAST]')
export const BDAT_UNDER_WAY: Reply<503> = reply(503, '5.5.1', 'The message has begun with BDAT')
export const BDAT_FAILED: Reply<503> = reply(503, '5.5.1', 'An earlier chunk failed: send RSET')
export const BINARY_NEEDS_BDAT: Reply<503> = reply(503, '5.5.1', 'A BINARYMIME message needs BDAT')
export const TOO_LARGE: Reply<552> = reply(552, '5.3.4', 'Message size exceeds fixed maximum message size')
export const ETRN_SYNTAX: Reply<501> = reply(501, '5.5.4', 'Syntax: ETRN domain')

export const BYE: Reply<221> = reply(221, '2.0.0', 'Bye')
export const OK: Reply<250> = reply(250, '2.0.0', 'OK')
export const HELP: Reply<214> = reply(214, '2.0.0', 'See RFC 5321')
export const READY_FOR_TLS: Reply<220> = reply(220, '2.0.0', 'Ready to start TLS')
/** The one reply without an enhanced code and without a place among `Reply`: RFC 2034 has none for class 3. */
export const GO_AHEAD = '354 End data with <CR><LF>.<CR><LF>\r\n'

/** Anything but printable ASCII. */
const UNUSUAL = /[^\x20-\x7e]/
/** Octets of text that leave room for code, enhanced code and CRLF within 512 (RFC 5321 §4.5.3.1.5). */
const LONGEST_TEXT = 494

/** A reply as it goes on the wire, CRLF included. */
export function wireReply(answer: Reply): string {
  const text = answer.text
  if (typeof text === 'string') return `${answer.code} ${answer.enhanced} ${wireLine(text)}\r\n`
  return wireLines(answer.code, text, `${answer.enhanced} `)
}

/** A positive greeting or HELO answer: without enhanced code (RFC 2034 §3), and with the keywords offered. */
export function wireGreeting(answer: Reply, keywords: readonly string[]): string {
  const text = typeof answer.text === 'string' ? [answer.text] : answer.text
  return wireLines(answer.code, keywords.length === 0 ? text : [...text, ...keywords], '')
}

function wireLines(code: number, lines: readonly string[], enhanced: string): string {
  if (lines.length === 0) return `${code} ${enhanced}\r\n`
  let wire = ''
  for (const [index, line] of lines.entries()) {
    wire += `${code}${index === lines.length - 1 ? ' ' : '-'}${enhanced}${wireLine(line)}\r\n`
  }
  return wire
}

function wireLine(line: string): string {
  if (line.length <= LONGEST_TEXT && !UNUSUAL.test(line)) return line
  const octets = Buffer.from(wireText(line))
  if (octets.length <= LONGEST_TEXT) return octets.toString()
  // The last character may have been cut in two.
  return octets
    .subarray(0, LONGEST_TEXT)
    .toString()
    .replace(/\ufffd$/, '')
}
