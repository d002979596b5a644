/**
 * How messages and entries are written down.
 *
 * A message record is one value: a 32-bit length, that many bytes of JSON facts, the head, and the body where it is
 * small. An entry is JSON. Whatever does not read back exactly is a `CorruptRecord`, which the store sets aside.
 */
import type { Mailbox, MailOptions, MessageId, NewMessage, PendingRecipient, QueueEntry } from '@mailwright/core'

export class CorruptRecord extends Error {
  override readonly name: string = 'CorruptRecord'
}

/** The facts of a message record. */
export interface MessageFacts {
  readonly options: MailOptions
  readonly headLength: number
  readonly bodyLength: number
  /** The body's file in `bodies`, where it is not in the record. */
  readonly file?: string | undefined
}

export interface MessageRecord extends MessageFacts {
  readonly head: Uint8Array
  /** Absent when the body is in a file. */
  readonly body: Uint8Array | undefined
}

/** An entry as stored. Its key says which message and which entry it is. */
export interface EntryRow {
  readonly lane: string
  readonly sender: Mailbox | null
  readonly recipients: readonly PendingRecipient[]
  readonly size: number
  readonly arrivedAt: number
  readonly dueAt: number
  readonly attempts: number
  readonly held?: string | undefined
  /** How many entries the message was put with: an only entry takes its message along when it goes. */
  readonly siblings: number
  readonly file?: string | undefined
}

export function encodeMessage(facts: MessageFacts, head: Uint8Array, body: Uint8Array | undefined): Uint8Array {
  const json = JSON.stringify(facts)
  const factsLength = Buffer.byteLength(json)
  const start = 4 + factsLength
  const record = Buffer.allocUnsafe(start + head.length + (body?.length ?? 0))
  record.writeUInt32LE(factsLength, 0)
  record.write(json, 4)
  record.set(head, start)
  if (body !== undefined) record.set(body, start + head.length)
  return record
}

/** @throws CorruptRecord when lengths or JSON are wrong. */
export function decodeMessage(bytes: Uint8Array): MessageRecord {
  const record = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (record.length < 4) throw new CorruptRecord('the record is truncated')
  const start = 4 + record.readUInt32LE(0)
  if (start > record.length) throw new CorruptRecord('the record is truncated')
  const facts = parse(record.toString('utf8', 4, start)) as unknown as MessageFacts
  const { headLength, bodyLength, file } = facts
  if (!isLength(headLength) || !isLength(bodyLength) || !isObject(facts.options) || !isName(file))
    throw new CorruptRecord('the facts are incomplete')
  const end = start + headLength + (file === undefined ? bodyLength : 0)
  if (end !== record.length) throw new CorruptRecord(`the record has ${record.length} bytes instead of ${end}`)
  const head = record.subarray(start, start + headLength)
  return { ...facts, head, body: file === undefined ? record.subarray(start + headLength) : undefined }
}

export function encodeEntry(row: EntryRow): Uint8Array {
  return Buffer.from(JSON.stringify(row))
}

/** @throws CorruptRecord when it is no entry. */
export function decodeEntry(bytes: Uint8Array): EntryRow {
  const row = parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'))
  const { lane, sender, recipients, size, arrivedAt, dueAt, attempts, siblings } = row
  const sound =
    typeof lane === 'string' &&
    (sender === null || isObject(sender)) &&
    Array.isArray(recipients) &&
    [size, arrivedAt, dueAt, attempts, siblings].every((each) => typeof each === 'number')
  if (!sound) throw new CorruptRecord('the entry is incomplete')
  return row as unknown as EntryRow
}

/** The rows of a message just put. */
export function entryRows(message: NewMessage, size: number, file: string | undefined): readonly EntryRow[] {
  const { sender, arrivedAt, entries } = message
  const siblings = entries.length
  return entries.map(({ lane, recipients, dueAt, held }) => {
    return { lane, sender, recipients, size, arrivedAt, dueAt, attempts: 0, held, siblings, file }
  })
}

/** An entry as callers see it. */
export function describeEntry(message: MessageId, entry: number, row: EntryRow, claimed: boolean): QueueEntry {
  const { lane, sender, recipients, size, arrivedAt, dueAt, attempts, held } = row
  const seen = { message, entry, lane, sender, recipients, size, arrivedAt, dueAt, attempts, claimed }
  return held === undefined ? seen : { ...seen, held }
}

function parse(json: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch {
    throw new CorruptRecord('the JSON cannot be parsed')
  }
  if (!isObject(value)) throw new CorruptRecord('the JSON is no object')
  return value
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Of a file, where there is one. */
function isName(value: unknown): boolean {
  return value === undefined || typeof value === 'string'
}

function isLength(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
