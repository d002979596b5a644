/** Messages and entries as scripts take and give them. */
import {
  type Instruction,
  type Labels,
  type Mailbox,
  type MailOptions,
  MailwrightError,
  type NewEntry,
  type NewMessage,
  type PendingRecipient,
  type PutClaim,
  type QueueEntry,
} from '@mailwright/core'
import type { Argument } from './link.ts'

interface Facts {
  readonly sender: Mailbox | null
  readonly options: MailOptions
  readonly arrivedAt: number
}

/** An entry read from the server. */
export interface Row {
  readonly entry: QueueEntry
  readonly options: MailOptions
  /** The entry as it is written there: changed by every change. */
  readonly seen: Uint8Array
}

/** An entry just claimed. */
export interface ClaimedRow extends Row {
  readonly token: string
  readonly head: Uint8Array
  /** Absent when it is elsewhere, or too much for one answer. */
  readonly body: Uint8Array | undefined
  /** Where the body is, if it is not beside the head. */
  readonly bodyName: string | undefined
}

type Field = Uint8Array | string | number | null
/** An entry as scripts give it. */
export type RawRow = readonly Field[]

/** Where a body goes: beside the head, or elsewhere under a name. */
export type BodyPlace = { readonly inline: Uint8Array } | { readonly name: string }

const NO_BYTES = new Uint8Array()

/** Head and body as a script takes them. */
export function bytesOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** A message as PUT and SETTLE take it. */
export function messageArguments(
  message: NewMessage,
  head: Uint8Array,
  place: BodyPlace,
  size: number,
  claim: PutClaim | undefined,
): Argument[] {
  const { id, sender, options, arrivedAt, entries } = message
  const facts: Facts = { sender, options, arrivedAt }
  const body = 'inline' in place ? place.inline : NO_BYTES
  const name = 'inline' in place ? '' : place.name
  const list: Argument[] = [
    id,
    arrivedAt,
    size,
    JSON.stringify(facts),
    bytesOf(head),
    bytesOf(body),
    name,
    entries.length,
  ]
  for (const entry of entries) {
    pushEntry(list, entry)
    list.push(isClaimed(entry, claim) ? '1' : '')
  }
  return list
}

/** Whether a put claims the entry. */
export function isClaimed({ lane, dueAt, held }: NewEntry, claim: PutClaim | undefined): boolean {
  return claim !== undefined && held === undefined && dueAt <= claim.now && claim.lanes.has(lane)
}

/** Lane, due time, hold and recipients. */
export function pushEntry(list: Argument[], { lane, dueAt, held, recipients }: NewEntry): void {
  list.push(lane, dueAt, held === undefined ? '' : `=${held}`, JSON.stringify(recipients))
}

/** @throws MailwrightError `ERR_MAILWRIGHT_STORE` when it is no row of ours. */
export function readRow(row: RawRow): Row {
  const [id, number, seen, lane, dueAt, attempts, leased, held, instruction, warned, recipients, facts, size] = row
  try {
    const { sender, options, arrivedAt } = JSON.parse(textOf(facts)) as Facts
    const entry: QueueEntry = {
      message: textOf(id),
      entry: Number(number),
      lane: textOf(lane),
      sender,
      recipients: JSON.parse(textOf(recipients)) as PendingRecipient[],
      size: numberOf(size),
      arrivedAt,
      dueAt: numberOf(dueAt),
      attempts: numberOf(attempts),
      claimed: isSet(leased),
      ...(isSet(held) && { held: textOf(held) }),
      ...(isSet(instruction) && { instruction: JSON.parse(textOf(instruction)) as Instruction }),
      ...(isSet(warned) && { warned: true as const }),
      ...labelled(options.labels),
    }
    return { entry, options, seen: seen as Uint8Array }
  } catch (cause) {
    throw new MailwrightError('ERR_MAILWRIGHT_STORE', 'the record cannot be read', { cause })
  }
}

/** @throws MailwrightError `ERR_MAILWRIGHT_STORE` when it is no row of ours. */
export function readClaimedRow(row: RawRow): ClaimedRow {
  const [token, head, body, bodyName] = row.slice(13)
  return {
    ...readRow(row),
    token: textOf(token),
    head: head as Uint8Array,
    body: isSet(body) ? (body as Uint8Array) : undefined,
    bodyName: isSet(bodyName) ? textOf(bodyName) : undefined,
  }
}

function labelled(labels: Labels | undefined): { readonly labels?: Labels } {
  return labels === undefined ? {} : { labels }
}

export function isSet(field: Field | undefined): boolean {
  return field !== null && field !== undefined
}

export function textOf(field: Field | undefined): string {
  if (typeof field === 'string') return field
  if (typeof field === 'number') return String(field)
  if (field === null || field === undefined) throw new TypeError('a field is missing')
  return bytesOf(field).toString('utf8')
}

export function numberOf(field: Field | undefined): number {
  const value = Number(textOf(field))
  if (Number.isNaN(value)) throw new TypeError('a field is no number')
  return value
}

/** Ids become parts of names, and of lists separated by spaces. */
const ID = /^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}$/
const LONGEST_LANE = 1_024

/**
 * Refuses what could not be written down.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG`
 */
export function assertStorable({ id, entries }: NewMessage): void {
  if (!ID.test(id)) throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `not a message id: ${JSON.stringify(id)}`)
  if (entries.length === 0) throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `${id} has no entries`)
  for (const { lane, dueAt } of entries) {
    if (lane === '' || lane.length > LONGEST_LANE || !lane.isWellFormed())
      throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `not a lane: ${JSON.stringify(lane)}`)
    assertTime(dueAt)
  }
}

/** @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` */
export function assertTime(at: number): void {
  if (!Number.isFinite(at)) throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `not a time: ${at}`)
}
