/**
 * How messages and entries are written down.
 *
 * | record  | bytes                                                                             |
 * |---------|-----------------------------------------------------------------------------------|
 * | message | `MW`, 0, 2; crc32 of the rest; 32-bit length, that many bytes of JSON facts; head and small body, packed or not |
 * | entry   | 2; crc32 of the rest; JSON                                                          |
 *
 * Format 1 had neither marks nor checksums; its records are read as they are. Whatever does not read back exactly is a
 * `CorruptRecord`, which the store sets aside. Sealing, where there are keys, is around all this (`record-codec.ts`).
 */
import { crc32 } from 'node:zlib'
import type {
  Instruction,
  Labels,
  Mailbox,
  MailOptions,
  MessageId,
  NewMessage,
  PendingRecipient,
  QueueEntry,
} from '@mailwright/core'
import { type Packing, unpack } from './packing.ts'

export class CorruptRecord extends Error {
  override readonly name: string = 'CorruptRecord'
}

/** The facts of a message record. */
export interface MessageFacts {
  readonly options: MailOptions
  readonly headLength: number
  readonly bodyLength: number
  /** How head and body are packed, where they are. */
  readonly packed?: Packing | undefined
  /** The body's file in `bodies`, where it is not in the record. */
  readonly file?: string | undefined
  /** The crc32 of a body in a plain file. Absent in format 1. */
  readonly crc?: number | undefined
  /** The salt of a body in a file of frames, as its file has to say it. */
  readonly frames?: string | undefined
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
  readonly instruction?: Instruction | undefined
  readonly warned?: true | undefined
  readonly labels?: Labels | undefined
  /** 1 where the message has no other entry, so that it goes with this one; else how many there may be. */
  readonly siblings: number
  readonly file?: string | undefined
}

/** The first four bytes of a message, as a number. Format 1 has a length there, which is never that large. */
const MESSAGE_MARK = 0x0200_574d
const ENTRY_MARK = 2
const BRACE = 0x7b
/** Before what the checksum is of. */
const MESSAGE_START = 8
const ENTRY_START = 5

export function encodeMessage(facts: MessageFacts, head: Uint8Array, body: Uint8Array | undefined): Uint8Array {
  const json = JSON.stringify(facts)
  const factsLength = Buffer.byteLength(json)
  const start = MESSAGE_START + 4 + factsLength
  const record = Buffer.allocUnsafe(start + head.length + (body?.length ?? 0))
  record.writeUInt32LE(MESSAGE_MARK, 0)
  record.writeUInt32LE(factsLength, MESSAGE_START)
  record.write(json, MESSAGE_START + 4)
  record.set(head, start)
  if (body !== undefined) record.set(body, start + head.length)
  record.writeUInt32LE(crc32(record.subarray(MESSAGE_START)), 4)
  return record
}

/** @throws CorruptRecord when checksum, lengths or JSON are wrong. */
export function decodeMessage(bytes: Uint8Array): MessageRecord {
  const { facts, content } = partsOf(bytes)
  const { headLength, bodyLength, file, packed } = facts
  const length = headLength + (file === undefined ? bodyLength : 0)
  const plain = packed === undefined ? content : unpacked(content, packed, length)
  if (plain.length !== length) throw new CorruptRecord(`the record has ${plain.length} bytes instead of ${length}`)
  const head = plain.subarray(0, headLength)
  return { ...facts, head, body: file === undefined ? plain.subarray(headLength) : undefined }
}

/** The facts alone, at less cost. @throws CorruptRecord */
export function decodeFacts(bytes: Uint8Array): MessageFacts {
  return partsOf(bytes).facts
}

function partsOf(bytes: Uint8Array): { readonly facts: MessageFacts; readonly content: Uint8Array } {
  const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const record = isMarked(whole) ? checked(whole, MESSAGE_START, 4) : whole
  if (record.length < 4) throw new CorruptRecord('the record is truncated')
  const start = 4 + record.readUInt32LE(0)
  if (start > record.length) throw new CorruptRecord('the record is truncated')
  const facts = parse(record.toString('utf8', 4, start)) as unknown as MessageFacts
  const { headLength, bodyLength, file, packed, crc, frames } = facts
  const sound =
    isLength(headLength) &&
    isLength(bodyLength) &&
    isObject(facts.options) &&
    isAbsentOr('string', file) &&
    isAbsentOr('string', frames) &&
    isAbsentOr('number', crc) &&
    (packed === undefined || packed === 'zstd' || packed === 'deflate')
  if (!sound) throw new CorruptRecord('the facts are incomplete')
  return { facts, content: record.subarray(start) }
}

function isMarked(record: Buffer): boolean {
  return record.length >= MESSAGE_START && record.readUInt32LE(0) === MESSAGE_MARK
}

function unpacked(content: Uint8Array, packing: Packing, length: number): Uint8Array {
  try {
    return unpack(content, packing, length)
  } catch (cause) {
    throw new CorruptRecord('the content cannot be unpacked', { cause })
  }
}

export function encodeEntry(row: EntryRow): Uint8Array {
  const json = JSON.stringify(row)
  const record = Buffer.allocUnsafe(ENTRY_START + Buffer.byteLength(json))
  record[0] = ENTRY_MARK
  record.write(json, ENTRY_START)
  record.writeUInt32LE(crc32(record.subarray(ENTRY_START)), 1)
  return record
}

/** @throws CorruptRecord when it is no entry. */
export function decodeEntry(bytes: Uint8Array): EntryRow {
  const record = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (record[0] !== ENTRY_MARK && record[0] !== BRACE) throw new CorruptRecord('the record is no entry')
  const row = parse((record[0] === BRACE ? record : checked(record, ENTRY_START, 1)).toString('utf8'))
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
  const { sender, arrivedAt, entries, options } = message
  const { labels } = options
  const siblings = entries.length
  return entries.map(({ lane, recipients, dueAt, held }) => {
    return { lane, sender, recipients, size, arrivedAt, dueAt, attempts: 0, held, labels, siblings, file }
  })
}

/** An entry as callers see it. */
export function describeEntry(message: MessageId, entry: number, row: EntryRow, claimed: boolean): QueueEntry {
  const { lane, sender, recipients, size, arrivedAt, dueAt, attempts, held, instruction, warned, labels } = row
  return {
    message,
    entry,
    lane,
    sender,
    recipients,
    size,
    arrivedAt,
    dueAt,
    attempts,
    held,
    instruction,
    warned,
    labels,
    claimed,
  }
}

/** What follows the checksum at `at`, if that is right. */
function checked(record: Buffer, start: number, at: number): Buffer {
  const rest = record.subarray(start)
  if (record.length < start || crc32(rest) !== record.readUInt32LE(at)) throw new CorruptRecord('the checksum is wrong')
  return rest
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

function isAbsentOr(type: 'string' | 'number', value: unknown): boolean {
  return value === undefined || typeof value === type
}

function isLength(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
