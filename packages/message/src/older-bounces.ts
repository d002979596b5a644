/**
 * Bounces from before RFC 3464, still met: qmail's text (QSBMF) and the `X-Failed-Recipients` field of Exim. They tell
 * only of failure, and what they tell is for people: a status is found in it or not.
 */
import { parseMailbox, wireText } from '@mailwright/core'
import type { DeliveryReport, ReportedRecipient } from './delivery-report.ts'
import { fieldValue } from './head.ts'
import type { MimePart } from './mime-parts.ts'
import { readReturned, returnedMessage } from './returned-message.ts'

const QMAIL = /^Hi\. This is the .{1,300}\r\n/m
/** From here on it is the message that is returned. */
const QMAIL_END = /^--- (?:Below this line is|Enclosed is|Undelivered message follows).*\r\n(?:\r\n)?/m
const MOST_RECIPIENTS = 1_000
const LONGEST_REASON = 1_000

/** A bounce of qmail: paragraphs of `<address>:` and a reason. */
export function qmailBounce(parts: readonly MimePart[]): DeliveryReport | undefined {
  const text = parts.find(({ type }) => type === 'text/plain')?.content.toString('utf8')
  const opening = text === undefined ? null : QMAIL.exec(text)
  if (text === undefined || opening === null || opening.index > 500) return undefined
  const end = QMAIL_END.exec(text)
  const recipients: ReportedRecipient[] = []
  for (const paragraph of text.slice(opening.index, end?.index).split('\r\n\r\n')) {
    const match = /^(?:\r\n)*<([^<>\r\n]{1,320})>:\r\n(.+)/s.exec(paragraph)
    if (match !== null && recipients.length < MOST_RECIPIENTS) recipients.push(failure(match[1]!, match[2]!))
  }
  if (recipients.length === 0) return undefined
  const original = end === null ? undefined : readReturned(Buffer.from(text.slice(end.index + end[0].length)))
  return {
    form: 'qmail',
    reportingMta: /program at ([\w.-]+)/.exec(opening[0])?.[1]?.replace(/\.$/, ''),
    recipients,
    original,
  }
}

/** A bounce whose header names those who failed. */
export function failedRecipientsField(head: Uint8Array, parts: readonly MimePart[]): DeliveryReport | undefined {
  const addresses = fieldValue(head, 'X-Failed-Recipients')?.split(',', MOST_RECIPIENTS) ?? []
  const recipients = addresses.map((each) => failure(each.trim(), '')).filter((each) => each.address !== undefined)
  return recipients.length === 0 ? undefined : { form: 'header', recipients, original: returnedMessage(parts) }
}

function failure(address: string, reason: string): ReportedRecipient {
  const diagnostic = wireText(reason).trim().slice(0, LONGEST_REASON).toWellFormed()
  return {
    address: parseMailbox(address),
    original: undefined,
    action: 'failed',
    status: /#?\b(5\.\d{1,3}\.\d{1,3})\b/.exec(diagnostic)?.[1],
    diagnostic: diagnostic === '' ? undefined : diagnostic,
    remoteMta: undefined,
    retryUntil: undefined,
  }
}
