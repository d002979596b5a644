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
  if (original.options.envid !== undefined) status += field('Original-Envelope-Id', decodeXtext(original.options.envid))
  status += field('X-Mailwright-Queue-ID', original.id)
  if (original.sender !== null) status += field('X-Mailwright-Sender', typedAddress(original.sender))
  status += field('Arrival-Date', mailDate(original.arrivedAt))
  for (const recipient of report.recipients) status += `\r\n${recipientFields(recipient, field)}`
  return status
}

function recipientFields(about: DsnRecipient, field: (name: string, value: string) => string): string {
  const { recipient, remote } = about
  let group = field('Final-Recipient', typedAddress(recipient.address))
  group += field('Original-Recipient', recipient.orcpt ?? typedAddress(recipient.original))
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

function typedAddress(address: Mailbox): string {
  return `${needsSmtpUtf8(address) ? 'utf-8' : 'rfc822'}; ${formatMailbox(address)}`
}

/** ENVID comes as xtext and is printed without (RFC 3461 §4.4). Broken encoding stays as it is. */
function decodeXtext(text: string): string {
  return text.replace(/\+([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

function fit(value: string, utf8: boolean): string {
  const clean = wireText(value)
  return utf8 ? clean : clean.replace(/[^\x00-\x7f]/gu, '?')
}
