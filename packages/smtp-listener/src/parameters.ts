/**
 * MAIL and RCPT as commands for the intake (RFC 5321 §4.1.1.2 and §4.1.1.3). The parameters are read in
 * `mail-parameters.ts` and `rcpt-parameters.ts`. Each line is read on its own, so nothing of a refused MAIL can leak into
 * the next. A parameter of an extension that is not offered is refused, never ignored.
 */
import {
  type Capability,
  type MailCommand,
  type MailOptions,
  needsSmtpUtf8,
  type RcptCommand,
  type Refusal,
  reply,
} from '@mailwright/core'
import { mailParameters } from './mail-parameters.ts'
import { UNSUPPORTED } from './parameter.ts'
import { parsePath } from './path.ts'
import { rcptParameters } from './rcpt-parameters.ts'

const MAIL_SYNTAX = reply(501, '5.5.4', 'Syntax: MAIL FROM:<address>')
const RCPT_SYNTAX = reply(501, '5.5.4', 'Syntax: RCPT TO:<address>')
const BAD_SENDER = reply(501, '5.1.7', 'Bad sender address syntax')
const BAD_RECIPIENT = reply(501, '5.1.3', 'Bad recipient address syntax')
const NEEDS_SMTPUTF8 = reply(553, '5.6.7', 'The address needs SMTPUTF8')

const NO_OPTIONS: MailOptions = {}

/** What was offered to the client, as far as parameters rest on it. */
export interface MailTerms {
  /** Whether EHLO offered what rests on this capability. */
  offers(capability: Capability): boolean
  /** Whose word on the submitter of a message (AUTH=) counts: nobody's, an authenticated client's, this client's. */
  readonly submitters: 'not offered' | 'dropped' | 'believed'
  /** ms since the epoch. */
  now(): number
}

/** What one command line turned out to be: a command, or the refusal to answer it with. */
export type Parsed<C> =
  | { readonly command: C; readonly refusal?: undefined }
  | { readonly command?: undefined; readonly refusal: Refusal }

/**
 * Reads a MAIL command line, trailing blanks removed. `terms`: what EHLO or LHLO offered; without them no parameter may be
 * used.
 *
 * @example
 * parseMail('MAIL FROM:<ann@example.org> SIZE=42', terms)
 * // { command: { sender: { local: 'ann', domain: 'example.org' }, options: {}, declaredSize: 42 } }
 */
export function parseMail(line: string, terms: MailTerms | undefined): Parsed<MailCommand> {
  if (line.slice(4, 10).toUpperCase() !== ' FROM:') return { refusal: MAIL_SYNTAX }
  const path = parsePath(line, 10)
  // Only RCPT may name the bare postmaster (RFC 5321 §4.1.1.3).
  if (path === undefined || path.mailbox?.domain === '') {
    return { refusal: line.charCodeAt(10) === 60 /* < */ ? BAD_SENDER : MAIL_SYNTAX }
  }
  const sender = path.mailbox
  if (path.parametersAt === line.length) {
    if (sender !== null && needsSmtpUtf8(sender)) return { refusal: NEEDS_SMTPUTF8 }
    return { command: { sender, options: NO_OPTIONS } }
  }
  if (terms === undefined) return { refusal: UNSUPPORTED }
  const parameters = mailParameters(line.slice(path.parametersAt), terms)
  if (parameters.refusal !== undefined) return parameters
  const { options, declaredSize } = parameters.command
  if (sender !== null && options.smtputf8 !== true && needsSmtpUtf8(sender)) return { refusal: NEEDS_SMTPUTF8 }
  return { command: { sender, options, declaredSize } }
}

/**
 * Reads an RCPT command line, trailing blanks removed. `international`: MAIL had SMTPUTF8. `terms` as for `parseMail`.
 *
 * @example
 * parseRcpt('RCPT TO:<bob@example.org> NOTIFY=NEVER', 'ascii', terms)
 * // { command: { recipient: { local: 'bob', domain: 'example.org' }, notify: ['never'] } }
 */
export function parseRcpt(
  line: string,
  mode: 'ascii' | 'international',
  terms: MailTerms | undefined,
): Parsed<RcptCommand> {
  if (line.slice(4, 8).toUpperCase() !== ' TO:') return { refusal: RCPT_SYNTAX }
  const path = parsePath(line, 8)
  if (path === undefined || path.mailbox === null) {
    return { refusal: line.charCodeAt(8) === 60 /* < */ ? BAD_RECIPIENT : RCPT_SYNTAX }
  }
  if (mode === 'ascii' && needsSmtpUtf8(path.mailbox)) return { refusal: NEEDS_SMTPUTF8 }
  const recipient = path.mailbox
  if (path.parametersAt === line.length) return { command: { recipient } }
  if (terms === undefined) return { refusal: UNSUPPORTED }
  const parameters = rcptParameters(line.slice(path.parametersAt), mode, terms)
  return parameters.refusal === undefined ? { command: { recipient, ...parameters.command } } : parameters
}
