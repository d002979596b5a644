/**
 * The machine's part of a notice (RFC 3464 §2, RFC 6533 §3): fields about the message, then a group per recipient.
 * What others said is quoted as they said it, with control characters cleaned, cut to a limit and folded.
 */
import { formatMailbox, type Mailbox, needsSmtpUtf8, replyLine, wireText } from '@mailwright/core'
import { mailDate } from './date.ts'
import type { DsnRecipient, DsnReport } from './dsn.ts'
import { headerField } from './edit.ts'

/** Longest text quoted from a remote server, in characters. */
const QUOTE_LIMIT = 900

/** The body of the delivery-status part. `utf8`: the part may hold UTF-8; without it, other characters become `?`. */
export function statusFields(report: DsnReport, utf8: boolean): string {
  const field = (name: string, value: string): string => headerField(name, fit(value, utf8))
  const { original } = report
  let status = field('Reporting-MTA', `dns; ${report.hostname}`)
  if (original.options.envid !== undefined)
    status += field('Original-Envelope-Id', decodedXtext(original.options.envid))
  status += field('X-Mailwright-Queue-ID', original.id)
  if (original.sender !== null) status += field('X-Mailwright-Sender', typedAddress(original.sender, utf8))
  status += field('Arrival-Date', mailDate(original.arrivedAt))
  for (const recipient of report.recipients) status += `\r\n${recipientFields(recipient, utf8, field)}`
  return status
}

function recipientFields(about: DsnRecipient, utf8: boolean, field: (name: string, value: string) => string): string {
  const { recipient, remote } = about
  let group = field('Final-Recipient', typedAddress(recipient.address, utf8))
  const given = recipient.orcpt === undefined ? undefined : typedOrcpt(recipient.orcpt, utf8)
  group += field('Original-Recipient', given ?? typedAddress(recipient.original, utf8))
  group += field('Action', about.action)
  group += field('Status', statusCode(about))
  if (remote === undefined) group += field('Diagnostic-Code', `X-Mailwright; ${replyLine(about.reply)}`)
  else {
    group += field('Remote-MTA', `dns; ${remote.host.replace(/(?<=.)\[.*$/, '')}`)
    group += field('Diagnostic-Code', `smtp; ${remoteLine(about)}`)
  }
  if (about.retryUntil !== undefined) group += field('Will-Retry-Until', mailDate(about.retryUntil))
  return group
}

/** The status code: theirs, where it agrees with what became of the recipient, else ours. */
function statusCode(about: DsnRecipient): string {
  const theirs = about.remote?.enhanced
  const usable = theirs !== undefined && /^[245]\.\d{1,3}\.\d{1,3}$/.test(theirs)
  return usable && theirs[0] === about.reply.enhanced[0] ? theirs : about.reply.enhanced
}

/** What was last said of the recipient, in one line: their words where there are any, else ours. */
export function remoteLine(about: DsnRecipient): string {
  const { remote } = about
  if (remote === undefined) return replyLine(about.reply)
  const text = remote.lines.join(' ')
  const enhanced = remote.enhanced === undefined || text.startsWith(remote.enhanced) ? '' : `${remote.enhanced} `
  const line = wireText(`${remote.code} ${enhanced}${text}`)
  return line.length > QUOTE_LIMIT ? `${line.slice(0, QUOTE_LIMIT)}...` : line
}

/** Without UTF-8 in the part, an address that has any is written with its code points (RFC 6533 §3). */
function typedAddress(address: Mailbox, utf8: boolean): string {
  const text = formatMailbox(address)
  if (!needsSmtpUtf8(address)) return `rfc822; ${text}`
  return `utf-8; ${utf8 ? text : codePoints(text)}`
}

function codePoints(text: string): string {
  return text.replace(
    /[^\x21-\x7e]|[\\+=]/gu,
    (character) => `\\x{${character.codePointAt(0)!.toString(16).toUpperCase().padStart(2, '0')}}`,
  )
}

/** ORCPT comes as xtext too, and is printed without (RFC 3461 §6.3); undefined when it is not `type;address`. */
function typedOrcpt(orcpt: string, utf8: boolean): string | undefined {
  const match = /^([A-Za-z0-9-]{1,64}); ?(.+)$/s.exec(orcpt)
  if (match === null) return undefined
  const [, type, address] = match as unknown as [string, string, string]
  if (!/^utf-8$/i.test(type)) return `${type};${decodedXtext(address)}`
  return `${type};${utf8 ? decodedCodePoints(address) : codePoints(decodedCodePoints(address))}`
}

/** `j\x{F6}rg`, as in ORCPT of an internationalized address (RFC 6533 §3). What is no code point stays as it is. */
export function decodedCodePoints(text: string): string {
  return text.replace(/\\x\{(10|[0-9A-F]?)([0-9A-F]{1,4})\}/g, (whole, high: string, low: string) => {
    const code = Number.parseInt(high + low, 16)
    const isCharacter = code > 0x20 && code !== 0x7f && (code < 0xd800 || code > 0xdfff) && code <= 0x10ffff
    return isCharacter ? String.fromCodePoint(code) : whole
  })
}

/** ENVID comes as xtext and is printed without (RFC 3461 §4.4). Broken encoding stays as it is. */
function decodedXtext(text: string): string {
  return text.replace(/\+([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

function fit(value: string, utf8: boolean): string {
  const clean = wireText(value)
  return utf8 ? clean : clean.replace(/[^\x00-\x7f]/gu, '?')
}
