/**
 * Delivery status notifications: a multipart/report in three parts (RFC 3461 §6, RFC 3462, RFC 3464; RFC 6533 for
 * internationalized mail). For people, for programs, and what was sent.
 *
 * The original comes back whole only in a notice of failure, when the sender did not ask for the header alone
 * (RET=HDRS), it is small, and its body is in memory: making a notice never reads storage and never fails for it.
 * Everything in it has CRLF line ends, whatever the original had. Who gets a notice, and whether, is the queue's matter.
 */
import {
  formatMailbox,
  type Mailbox,
  type MailOptions,
  type MessageId,
  type MessageSource,
  needsSmtpUtf8,
  type Recipient,
  type RemoteAnswer,
  type Reply,
} from '@mailwright/core'
import { asBuffer, EMPTY } from './bytes.ts'
import { mailDate } from './date.ts'
import { statusFields } from './dsn-fields.ts'
import { bodyText, noticeFacts } from './dsn-notice.ts'
import { headerField } from './edit.ts'
import { encodedPhrase, encodedText } from './encoded-word.ts'
import { fieldValue } from './head.ts'
import { lineNormalizer } from './line-ends.ts'
import type { NoticeFacts, NoticeTemplate } from './notice-template.ts'
import { ENGLISH_NOTICES } from './notice-words.ts'
import { memorySource } from './source.ts'

/** What the notice is about, all in all. `mixed`: recipients fared differently. */
export type DsnKind = 'failed' | 'delayed' | 'delivered' | 'mixed'

/** What became of one recipient (RFC 3464 §2.3.3). */
export type DsnAction = 'failed' | 'delayed' | 'delivered' | 'relayed' | 'expanded'

export interface DsnRecipient {
  readonly recipient: Recipient
  readonly action: DsnAction
  /** What we say of it. */
  readonly reply: Reply
  /** What the next server said. */
  readonly remote?: RemoteAnswer | undefined
  /** Until when we keep trying, ms since the epoch. Only with `delayed`. */
  readonly retryUntil?: number | undefined
}

export interface DsnReport {
  readonly kind: DsnKind
  /** Our name: the Reporting-MTA. */
  readonly hostname: string
  /** The id of the notice itself. */
  readonly id: MessageId
  /** Now, ms since the epoch. */
  readonly at: number
  readonly original: DsnOriginal
  readonly recipients: readonly DsnRecipient[]
  /** Whom the notice is for: the original's sender, as a rule. */
  readonly to: Mailbox
  /** Largest original, in bytes, that comes back whole. 50,000 when not given. */
  readonly bodyLimit?: number | undefined
  /** Its wording. `ENGLISH_NOTICES` when not given. */
  readonly template?: NoticeTemplate | undefined
  /** Whom it is from. `MAILER-DAEMON` at our name when not given. */
  readonly from?: Mailbox | undefined
  /** `copy`: for somebody who looks after mail, not for who sent it: the original's header alone. */
  readonly purpose?: 'notice' | 'copy' | undefined
}

export interface DsnOriginal {
  readonly id: MessageId
  readonly sender: Mailbox | null
  /** ms since the epoch. */
  readonly arrivedAt: number
  readonly options: MailOptions
  readonly source: MessageSource
}

const RETURNED: Readonly<Record<DsnKind, string>> = {
  failed: 'Undelivered Message',
  delayed: 'Delayed Message',
  delivered: 'Delivered Message',
  mixed: 'Original Message',
}

/**
 * The notice as a message, all of it in memory. Its envelope sender must be null; `dsnOptions` tells its MAIL options.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` when the host name or an id could not stand in a header; whatever the
 * template throws.
 * @example
 * buildDsn({ kind: 'failed', hostname: 'mx.example.org', id: ids.next(), at: clock.now(), original, to: sender,
 *   recipients: [{ recipient, action: 'failed', reply: reply(550, '5.1.1', 'no such mailbox') }] })
 */
export function buildDsn(report: DsnReport): MessageSource {
  const utf8 = isInternational(report)
  const template = report.template ?? ENGLISH_NOTICES
  const body = bodyToReturn(report)
  const facts = noticeFacts(report, body === undefined ? 'header' : 'message')
  const parts = [noticePart(facts, template), statusPart(report, utf8), originalPart(report, body, utf8)]
  const boundary = boundaryFor(report, parts)
  const encoding = parts.some((part) => part.eightBit) || utf8 ? '8bit' : '7bit'
  const head = dsnHead(report, subjectOf(facts, template), template.from, boundary, encoding)
  return memorySource(Buffer.from(head), dsnBody(parts, boundary))
}

/** The MAIL options a notice must travel with: 8BITMIME and SMTPUTF8 where its bytes and addresses need them. */
export function dsnOptions(report: DsnReport, notice: MessageSource): MailOptions {
  const eightBit = hasEightBit(notice.head) || (notice.buffered !== undefined && hasEightBit(notice.buffered))
  return { ...(eightBit && { body: '8bitmime' as const }), ...(isInternational(report) && { smtputf8: true }) }
}

interface Part {
  readonly description: string
  readonly language?: string
  readonly type: string
  readonly content: Uint8Array
  readonly eightBit: boolean
}

function dsnHead(report: DsnReport, subject: string, name: string, boundary: string, encoding: string): string {
  const messageId = originalMessageId(report.original.source.head)
  const from = report.from === undefined ? `MAILER-DAEMON@${report.hostname}` : formatMailbox(report.from)
  return [
    headerField('Date', mailDate(report.at)),
    headerField('From', `${encodedPhrase(name)} <${from}>`),
    headerField('To', `<${formatMailbox(report.to)}>`),
    headerField('Subject', subject),
    headerField('Message-ID', `<${report.id}@${report.hostname}>`),
    ...(messageId === undefined ? [] : [headerField('In-Reply-To', messageId), headerField('References', messageId)]),
    headerField('Auto-Submitted', report.purpose === 'copy' ? 'auto-generated' : 'auto-replied'),
    headerField('MIME-Version', '1.0'),
    headerField('Content-Type', `multipart/report; report-type=delivery-status; boundary="${boundary}"`),
    headerField('Content-Transfer-Encoding', encoding),
    '\r\n',
  ].join('')
}

function dsnBody(parts: readonly Part[], boundary: string): Buffer {
  const pieces: Uint8Array[] = [Buffer.from('This is a delivery report in MIME format.\r\n')]
  for (const part of parts) {
    const head =
      headerField('Content-Description', part.description) +
      (part.language === undefined ? '' : headerField('Content-Language', part.language)) +
      headerField('Content-Type', part.type) +
      headerField('Content-Transfer-Encoding', part.eightBit ? '8bit' : '7bit')
    pieces.push(Buffer.from(`\r\n--${boundary}\r\n${head}\r\n`), part.content)
  }
  pieces.push(Buffer.from(`\r\n--${boundary}--\r\n`))
  return Buffer.concat(pieces)
}

function subjectOf(facts: NoticeFacts, template: NoticeTemplate): string {
  const { subject } = template.wording[facts.kind]
  return encodedText(typeof subject === 'string' ? subject : subject(facts))
}

function noticePart(facts: NoticeFacts, template: NoticeTemplate): Part {
  const content = Buffer.from(bodyText(template.wording[facts.kind].text(facts)))
  const eightBit = hasEightBit(content)
  const notice = part('Notification', `text/plain; charset=${eightBit ? 'utf-8' : 'us-ascii'}`, content)
  return { ...notice, language: encodedText(template.language) }
}

function statusPart(report: DsnReport, utf8: boolean): Part {
  const type = utf8 ? 'message/global-delivery-status' : 'message/delivery-status'
  return part('Delivery report', type, Buffer.from(statusFields(report, utf8)))
}

function originalPart(report: DsnReport, body: Uint8Array | undefined, utf8: boolean): Part {
  const { original } = report
  const returnPath = headerField('Return-Path', `<${formatMailbox(original.sender)}>`)
  const lines = lineNormalizer()
  const content = Buffer.concat([
    Buffer.from(returnPath),
    lines.push(original.source.head),
    lines.push(body ?? EMPTY),
    lines.end(),
  ])
  const description = RETURNED[report.kind]
  if (body !== undefined) return part(description, utf8 ? 'message/global' : 'message/rfc822', content)
  return part(`${description} Headers`, utf8 ? 'message/global-headers' : 'text/rfc822-headers', content)
}

/** The body, when the whole message is to come back. */
function bodyToReturn(report: DsnReport): Uint8Array | undefined {
  const { options, source } = report.original
  const failed = report.recipients.some((about) => about.action === 'failed')
  if (!failed || report.purpose === 'copy' || options.ret === 'hdrs' || options.body === 'binarymime') return undefined
  return source.size > (report.bodyLimit ?? 50_000) ? undefined : source.buffered
}

function part(description: string, type: string, content: Uint8Array): Part {
  return { description, type, content, eightBit: hasEightBit(content) }
}

/** A boundary that is in none of the parts: the original may well hold the boundary of an earlier notice. */
function boundaryFor(report: DsnReport, parts: readonly Part[]): string {
  for (let attempt = 0; ; attempt++) {
    const boundary = `=_${report.id.replace(/[^\w.-]/g, '')}.${attempt}`
    if (parts.every((part) => asBuffer(part.content).indexOf(`--${boundary}`) < 0)) return boundary
  }
}

function originalMessageId(head: Uint8Array): string | undefined {
  const value = fieldValue(head, 'Message-ID')
  return value !== undefined && /^<[!-;=?-~]{1,900}>$/.test(value) ? value : undefined
}

/**
 * Whether the notice must be one of RFC 6533: the original was, or whom the notice is for needs it. An address that only
 * appears in it does not: who cannot be written to with SMTPUTF8 must still be told, so it is encoded (RFC 6533 §3).
 */
function isInternational(report: DsnReport): boolean {
  const { options, sender } = report.original
  return options.smtputf8 === true || needsSmtpUtf8(report.to) || (sender !== null && needsSmtpUtf8(sender))
}

function hasEightBit(bytes: Uint8Array): boolean {
  return /[\x80-\xff]/.test(asBuffer(bytes).toString('latin1', 0, bytes.length))
}
