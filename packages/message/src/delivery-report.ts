/**
 * Reading delivery status notifications, whoever wrote them (RFC 3464, RFC 6522, RFC 6533), and two older forms that are
 * still met: qmail's (QSBMF) and a header field that names who failed.
 *
 * What comes back is what a stranger says. It is bounded and free of control characters, but nothing in it is proved;
 * signed return paths (`parseVerp`) tell a forged report. Never throws: what cannot be read is no report.
 */
import type { Mailbox } from '@mailwright/core'
import type { DsnAction } from './dsn.ts'
import { headLength } from './head.ts'
import { leafParts, type MimePart } from './mime-parts.ts'
import { failedRecipientsField, qmailBounce } from './older-bounces.ts'
import { type FieldGroup, fieldGroups, firstOf, reportedDate, reportedMailbox, untyped } from './report-fields.ts'
import { type ReturnedMessage, returnedMessage } from './returned-message.ts'

/** What a notice said. */
export interface DeliveryReport {
  /** What it was read from: the fields of RFC 3464, the text of a qmail bounce, or `X-Failed-Recipients`. */
  readonly form: 'dsn' | 'qmail' | 'header'
  /** Who reports. */
  readonly reportingMta?: string | undefined
  /** The ENVID that the message was sent with. */
  readonly envelopeId?: string | undefined
  /** When the reporting server had taken the message, ms since the epoch. */
  readonly arrivedAt?: number | undefined
  /** At least one, at most 1,000. */
  readonly recipients: readonly ReportedRecipient[]
  /** The message it is about. */
  readonly original?: ReturnedMessage | undefined
}

export interface ReportedRecipient {
  /** Where the message went at last; undefined where that was no mailbox. */
  readonly address: Mailbox | undefined
  /** Whom the sender wrote to, where the report says. */
  readonly original: Mailbox | undefined
  readonly action: DsnAction
  /** RFC 3463, e.g. `5.1.1`. */
  readonly status: string | undefined
  /** The answer that caused it, as quoted. */
  readonly diagnostic: string | undefined
  /** Who gave it. */
  readonly remoteMta: string | undefined
  /** Until when it is tried, ms since the epoch. */
  readonly retryUntil: number | undefined
}

const STATUS_TYPES = new Set(['message/delivery-status', 'message/global-delivery-status'])
const MOST_RECIPIENTS = 1_000
const ACTIONS: Readonly<Record<string, DsnAction>> = {
  failed: 'failed',
  fail: 'failed',
  failure: 'failed',
  delayed: 'delayed',
  deferred: 'delayed',
  delivered: 'delivered',
  relayed: 'relayed',
  expanded: 'expanded',
}

/**
 * Reads a message as a delivery report; undefined when it is none, or names nobody.
 *
 * @example
 * for (const { address, action, status } of parseDsn(bytes)?.recipients ?? []) …
 */
export function parseDsn(message: Uint8Array): DeliveryReport | undefined {
  const parts = leafParts(message)
  const status = parts.find(({ type }) => STATUS_TYPES.has(type))
  const report = status && statusReport(status, parts)
  if (report !== undefined) return report
  const end = headLength(message)
  const head = end < 0 ? message : message.subarray(0, end)
  return qmailBounce(parts) ?? failedRecipientsField(head, parts)
}

function statusReport(status: MimePart, parts: readonly MimePart[]): DeliveryReport | undefined {
  const groups = fieldGroups(status.content)
  const recipients = groups
    .flatMap(recipientGroups)
    .map(recipientOf)
    .filter((each) => each !== undefined)
  if (recipients.length === 0) return undefined
  // Whatever group it stands in: some servers forget the empty line.
  const about = (name: string): string | undefined =>
    firstOf(
      groups.find((group) => group.has(name)),
      name,
    )
  return {
    form: 'dsn',
    reportingMta: untyped(about('reporting-mta')),
    envelopeId: about('original-envelope-id'),
    arrivedAt: reportedDate(about('arrival-date')),
    recipients: recipients.slice(0, MOST_RECIPIENTS),
    original: returnedMessage(parts.slice(parts.indexOf(status) + 1)),
  }
}

/** A group that names several recipients, for want of empty lines, is as many groups. */
function recipientGroups(group: FieldGroup): readonly FieldGroup[] {
  const finals = group.get('final-recipient') ?? []
  if (finals.length < 2) return group.has('final-recipient') || group.has('original-recipient') ? [group] : []
  const nth = (index: number): FieldGroup =>
    new Map([...group].map(([name, values]) => [name, values.slice(index, index + 1)]))
  return finals.slice(0, MOST_RECIPIENTS).map((_, index) => nth(index))
}

function recipientOf(group: FieldGroup): ReportedRecipient | undefined {
  const said = firstOf(group, 'diagnostic-code')
  const diagnostic = untyped(said)
  const status = statusOf(firstOf(group, 'status'), diagnostic)
  const word = /^[a-z]+/.exec(firstOf(group, 'action')?.toLowerCase() ?? '')?.[0] ?? ''
  const action = (Object.hasOwn(ACTIONS, word) ? ACTIONS[word] : undefined) ?? actionByStatus(status)
  if (action === undefined) return undefined
  return {
    address: reportedMailbox(firstOf(group, 'final-recipient')),
    original: reportedMailbox(firstOf(group, 'original-recipient')),
    action,
    status,
    diagnostic,
    remoteMta: untyped(firstOf(group, 'remote-mta')),
    retryUntil: reportedDate(firstOf(group, 'will-retry-until')),
  }
}

/** The status field, or the code in the answer where the field says no more than its class. */
function statusOf(field: string | undefined, diagnostic: string | undefined): string | undefined {
  const given = statusIn(field)
  if (given !== undefined && !given.endsWith('.0.0')) return given
  const quoted = statusIn(diagnostic)
  return quoted !== undefined && (given === undefined || quoted[0] === given[0]) ? quoted : given
}

function statusIn(text: string | undefined): string | undefined {
  return /(?<![\d.])[245]\.\d{1,3}\.\d{1,3}(?![\d.]\d)/.exec(text ?? '')?.[0]
}

function actionByStatus(status: string | undefined): DsnAction | undefined {
  if (status === undefined) return undefined
  return status[0] === '5' ? 'failed' : status[0] === '4' ? 'delayed' : 'delivered'
}
