/** All places where mail comes to rest, and what is found in it. */
import { fields, fieldValue, headLength } from '@mailwright/message'
import type { Holding } from './ledger.ts'

/** A message at rest, for one recipient. */
export interface Arrival {
  readonly place: string
  readonly recipient: string
  /** Of the envelope; empty for the null sender. */
  readonly sender: string
  readonly messageId: string
  readonly body: string
  readonly at: number
  /** For a notice: whom it is about, and the Message-ID of the mail it is about. */
  readonly about: readonly string[]
  readonly original: string | undefined
}

/** Reads a message that has arrived. */
export function readArrival(
  envelope: { readonly place: string; readonly recipient: string; readonly sender: string; readonly at: number },
  bytes: Uint8Array,
): Arrival {
  const end = headLength(bytes)
  const head = bytes.subarray(0, end)
  const body = Buffer.from(bytes.subarray(end)).toString('latin1')
  const isNotice = fieldValue(head, 'Content-Type')?.startsWith('multipart/report') === true
  return {
    ...envelope,
    messageId: fieldValue(head, 'Message-ID') ?? '',
    body,
    about: isNotice ? [...body.matchAll(/^Final-Recipient: rfc822;\s+(\S+)/gm)].map((match) => match[1]!) : [],
    original: isNotice ? fieldValue(head, 'References') : undefined,
  }
}

const BY = /\bby (\w+)\.relay\.example with \w+ id (\w+)/
const OWN_ID = /^<(\w+)@(\w+)\.relay\.example>$/

/**
 * Who sent the message on: the last server that put its Received field on it, after so many of the receiver's own; else
 * whoever wrote it, a server for a notice, or the client.
 */
export function senderOf(head: Uint8Array, ownFields: number): Holding {
  const trace = fields(head).filter((field) => field.name === 'Received')[ownFields]
  const received = trace === undefined ? null : BY.exec(trace.value)
  if (received !== null) return { keeper: received[1]!, id: received[2]! }
  const messageId = fieldValue(head, 'Message-ID') ?? ''
  const notice = OWN_ID.exec(messageId)
  return notice === null ? { keeper: 'client', id: messageId } : { keeper: notice[2]!, id: notice[1]! }
}
