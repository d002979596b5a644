/**
 * Reading feedback reports, with which receivers pass their users' complaints on (ARF, RFC 5965, RFC 6430, RFC 6591).
 * What comes back is what a stranger says: bounded and free of control characters, but not proved. Never throws.
 */
import type { Mailbox } from '@mailwright/core'
import { leafParts } from './mime-parts.ts'
import { fieldGroups, firstOf, reportedDate, reportedMailbox, untyped } from './report-fields.ts'
import { type ReturnedMessage, returnedMessage } from './returned-message.ts'

export interface FeedbackReport {
  /** `abuse`, `fraud`, `virus`, `not-spam`, `opt-out`, `auth-failure`, or whatever else was said. Lower case. */
  readonly type: string
  readonly userAgent: string | undefined
  readonly reportingMta: string | undefined
  /** The ENVID that the message was sent with. */
  readonly envelopeId: string | undefined
  /** The envelope sender of the message; null for the null sender. */
  readonly sender: Mailbox | null | undefined
  /** Whom it was for; often left out, to spare the user. */
  readonly recipients: readonly Mailbox[]
  readonly sourceIp: string | undefined
  /** When it arrived there, ms since the epoch. */
  readonly arrivedAt: number | undefined
  /** How many complaints this report stands for. */
  readonly incidents: number
  /** The message complained of. */
  readonly original: ReturnedMessage | undefined
}

const MOST_RECIPIENTS = 100

/**
 * Reads a message as a feedback report; undefined when it is none.
 *
 * @example
 * const complaint = parseFeedbackReport(bytes)
 * if (complaint?.type === 'abuse') unsubscribe(complaint.original?.messageId)
 */
export function parseFeedbackReport(message: Uint8Array): FeedbackReport | undefined {
  const parts = leafParts(message)
  const part = parts.find(({ type }) => type === 'message/feedback-report')
  if (part === undefined) return undefined
  const [group] = fieldGroups(part.content)
  const type = firstOf(group, 'feedback-type')?.toLowerCase()
  if (type === undefined) return undefined
  const sender = firstOf(group, 'original-mail-from')
  const incidents = Number(firstOf(group, 'incidents') ?? 1)
  return {
    type,
    userAgent: firstOf(group, 'user-agent'),
    reportingMta: untyped(firstOf(group, 'reporting-mta')),
    envelopeId: firstOf(group, 'original-envelope-id'),
    sender: sender === '<>' ? null : reportedMailbox(sender),
    recipients: (group?.get('original-rcpt-to') ?? [])
      .slice(0, MOST_RECIPIENTS)
      .map(reportedMailbox)
      .filter((each) => each !== undefined),
    sourceIp: firstOf(group, 'source-ip'),
    arrivedAt: reportedDate(firstOf(group, 'arrival-date') ?? firstOf(group, 'received-date')),
    incidents: Number.isSafeInteger(incidents) && incidents > 0 ? incidents : 1,
    original: returnedMessage(parts.slice(parts.indexOf(part) + 1)),
  }
}
