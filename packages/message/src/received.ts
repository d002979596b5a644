/**
 * The trace field every mail server adds (RFC 5321 §4.4). What the client said (HELO, recipient) is written only where
 * it is fit for the field; a HELO name that is no name gives way to the client's address.
 */
import { formatMailbox, type Mailbox, type MailOptions, type MessageId, type Session, wireText } from '@mailwright/core'
import { mailDate } from './date.ts'

export interface Trace {
  readonly session: Session
  /** Our name. */
  readonly hostname: string
  readonly id: MessageId
  readonly options: MailOptions
  /** Only where the message has one recipient: `for` must not give away blind copies (RFC 5321 §7.2). */
  readonly recipient?: Mailbox | undefined
  /** When the message came, ms since the epoch. */
  readonly at: number
}

/**
 * The Received field, with its CRLF.
 *
 * @example
 * receivedField(trace)
 * // 'Received: from mx.example.net ([192.0.2.7])\r\n\tby mail.example.org with ESMTPS id 01nt6b…\r\n\t…; Sun, …\r\n'
 */
export function receivedField(trace: Trace): string {
  const { session, recipient } = trace
  const address = addressLiteral(session.client.address)
  const from = session.helo !== undefined && isName(session.helo, trace.options) ? session.helo : address
  const tls = session.tls === undefined ? '' : `\r\n\t(${clean(session.tls.protocol)} ${clean(session.tls.cipher)})`
  const whom = recipient === undefined ? '' : `\r\n\tfor <${wireText(formatMailbox(recipient))}>`
  const how = transmissionType(session, trace.options)
  return (
    `Received: from ${from} (${address})${tls}\r\n` +
    `\tby ${trace.hostname} with ${how} id ${trace.id}${whom};\r\n\t${mailDate(trace.at)}\r\n`
  )
}

/** The name of the protocol after `with` (RFC 3848, RFC 6531 §4.3). */
export function transmissionType(session: Session, options: MailOptions): string {
  if (session.protocol === 'smtp' && !session.extended) return 'SMTP'
  const protocol = session.protocol === 'lmtp' ? 'LMTP' : 'SMTP'
  const base = options.smtputf8 ? `UTF8${protocol}` : protocol === 'SMTP' ? 'ESMTP' : 'LMTP'
  return base + (session.tls === undefined ? '' : 'S') + (session.user === undefined ? '' : 'A')
}

function addressLiteral(address: string): string {
  return address.includes(':') ? `[IPv6:${clean(address)}]` : `[${clean(address)}]`
}

function isName(helo: string, options: MailOptions): boolean {
  const name = options.smtputf8 ? /^[\w.\-:[\]\u0080-\uffff]{1,255}$/ : /^[\w.\-:[\]]{1,255}$/
  return name.test(helo)
}

/** Keeps a value inside the parentheses or brackets it is put in. */
function clean(text: string): string {
  return text.replace(/[^\w.:-]/g, '')
}
