/**
 * What a submission service asks and does beyond other mail (RFC 6409): TLS and a user before MAIL, and the fields every
 * message must have where the user's program left them out (§8.1, §8.2). Nothing else of the message is changed or
 * refused.
 */
import { type MessageId, type Refusal, reply, type Session } from '@mailwright/core'
import { fieldValue, mailDate } from '@mailwright/message'

const TLS_FIRST: Refusal = reply(530, '5.7.0', 'Must issue a STARTTLS command first')
const AUTHENTICATE_FIRST: Refusal = reply(530, '5.7.0', 'Authentication required')

/** Why this client may not submit yet (RFC 3207 §4, RFC 4954 §6). */
export function notReadyToSubmit(session: Session, rule: 'tls' | 'no tls'): Refusal | undefined {
  if (rule === 'tls' && session.tls === undefined) return TLS_FIRST
  return session.user === undefined ? AUTHENTICATE_FIRST : undefined
}

/**
 * The fields that are missing, with their CRLFs, to stand in front of the head; mostly none. The time is that of the
 * submission, the Message-ID our own id at our own name.
 */
export function missingFields(head: Uint8Array, id: MessageId, hostname: string, at: number): string {
  const date = fieldValue(head, 'Date') === undefined ? `Date: ${mailDate(at)}\r\n` : ''
  return fieldValue(head, 'Message-ID') === undefined ? `${date}Message-ID: <${id}@${hostname}>\r\n` : date
}
