/**
 * MAIL and RCPT as commands for the intake (RFC 5321 §4.1.1.2 and §4.1.1.3), with the parameters of the extensions this
 * engine offers: SIZE (RFC 1870), BODY (RFC 6152), SMTPUTF8 (RFC 6531). Each line is read on its own, so nothing of a
 * refused MAIL can leak into the next. A parameter of an extension that is not offered is refused, never ignored.
 */
import {
  type MailCommand,
  type MailOptions,
  needsSmtpUtf8,
  type RcptCommand,
  type Refusal,
  reply,
} from '@mailwright/core'
import { parsePath } from './path.ts'

const MAIL_SYNTAX = reply(501, '5.5.4', 'Syntax: MAIL FROM:<address>')
const RCPT_SYNTAX = reply(501, '5.5.4', 'Syntax: RCPT TO:<address>')
const BAD_SENDER = reply(501, '5.1.7', 'Bad sender address syntax')
const BAD_RECIPIENT = reply(501, '5.1.3', 'Bad recipient address syntax')
const NEEDS_SMTPUTF8 = reply(553, '5.6.7', 'The address needs SMTPUTF8')
const UNSUPPORTED = reply(555, '5.5.4', 'Unsupported parameter')
const BAD_PARAMETER = reply(501, '5.5.4', 'Bad parameter')
const DUPLICATE = reply(501, '5.5.4', 'Parameter given twice')
const BAD_SIZE = reply(501, '5.5.4', 'Bad value of SIZE')
const BAD_BODY = reply(501, '5.5.4', 'Bad value of BODY')

const NO_OPTIONS: MailOptions = {}
const PARAMETER = /^([A-Za-z0-9][A-Za-z0-9-]*)(?:=([^=\s]+))?$/

/** What one command line turned out to be: a command, or the refusal to answer it with. */
export type Parsed<C> =
  | { readonly command: C; readonly refusal?: undefined }
  | { readonly command?: undefined; readonly refusal: Refusal }

/**
 * Reads a MAIL command line, trailing blanks removed. `extended`: the client said EHLO or LHLO, so parameters may be used.
 *
 * @example
 * parseMail('MAIL FROM:<ann@example.org> SIZE=42', 'extended')
 * // { command: { sender: { local: 'ann', domain: 'example.org' }, options: {}, declaredSize: 42 } }
 */
export function parseMail(line: string, mode: 'plain' | 'extended'): Parsed<MailCommand> {
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
  if (mode === 'plain') return { refusal: UNSUPPORTED }
  const parameters = mailParameters(line.slice(path.parametersAt))
  if (parameters.refusal !== undefined) return parameters
  const { options, declaredSize } = parameters.command
  if (sender !== null && options.smtputf8 !== true && needsSmtpUtf8(sender)) return { refusal: NEEDS_SMTPUTF8 }
  return { command: { sender, options, declaredSize } }
}

/** Reads an RCPT command line, trailing blanks removed. `international`: MAIL had SMTPUTF8. */
export function parseRcpt(line: string, mode: 'ascii' | 'international'): Parsed<RcptCommand> {
  if (line.slice(4, 8).toUpperCase() !== ' TO:') return { refusal: RCPT_SYNTAX }
  const path = parsePath(line, 8)
  if (path === undefined || path.mailbox === null) {
    return { refusal: line.charCodeAt(8) === 60 /* < */ ? BAD_RECIPIENT : RCPT_SYNTAX }
  }
  if (mode === 'ascii' && needsSmtpUtf8(path.mailbox)) return { refusal: NEEDS_SMTPUTF8 }
  // The place for NOTIFY and ORCPT, once DSN is offered.
  if (path.parametersAt < line.length) return { refusal: UNSUPPORTED }
  return { command: { recipient: path.mailbox } }
}

interface MailParameters {
  readonly options: MailOptions
  readonly declaredSize?: number | undefined
}

function mailParameters(text: string): Parsed<MailParameters> {
  let options: MailOptions = NO_OPTIONS
  let declaredSize: number | undefined
  for (const word of text.split(' ')) {
    if (word === '') continue
    const match = PARAMETER.exec(word)
    if (match === null) return { refusal: BAD_PARAMETER }
    const value = match[2]
    switch (match[1]!.toUpperCase()) {
      case 'SIZE':
        if (declaredSize !== undefined) return { refusal: DUPLICATE }
        if (value === undefined || !/^\d{1,20}$/.test(value)) return { refusal: BAD_SIZE }
        declaredSize = Number(value)
        break
      case 'BODY': {
        if (options.body !== undefined) return { refusal: DUPLICATE }
        const body = value?.toLowerCase()
        if (body !== '7bit' && body !== '8bitmime') return { refusal: BAD_BODY }
        options = { ...options, body }
        break
      }
      case 'SMTPUTF8':
        if (options.smtputf8 !== undefined) return { refusal: DUPLICATE }
        if (value !== undefined) return { refusal: BAD_PARAMETER }
        options = { ...options, smtputf8: true }
        break
      default:
        return { refusal: UNSUPPORTED }
    }
  }
  return { command: { options, declaredSize } }
}
