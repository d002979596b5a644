/** From options to a selection of entries. */
import { type Duration, type EntryStatus, type Labels, milliseconds, type Selection } from '@mailwright/core'
import { UsageError } from '../command.ts'
import type { Flags } from './flags.ts'

const STATUSES: readonly EntryStatus[] = ['held', 'claimed', 'deferred', 'waiting']
const UNITS: Readonly<Record<string, number>> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 }

/** What the options and ids mean at this time; empty when there are none. */
export function selectionOf(flags: Flags, ids: readonly string[], now: number): Selection {
  const selection: { -readonly [name in keyof Selection]: Selection[name] } = {}
  if (ids.length > 0) selection.messages = ids
  if (flags.sender !== undefined) selection.sender = flags.sender
  if (flags.recipient !== undefined) selection.recipient = flags.recipient
  if (flags.domain !== undefined) selection.recipient = domainOf(flags)
  if (flags.lane !== undefined) selection.lane = flags.lane
  if (flags['older-than'] !== undefined) selection.arrivedBefore = now - duration(flags['older-than'], '--older-than')
  if (flags['newer-than'] !== undefined) selection.arrivedSince = now - duration(flags['newer-than'], '--newer-than')
  if (flags['larger-than'] !== undefined) selection.atLeast = octets(flags['larger-than'], '--larger-than') + 1
  if (flags['smaller-than'] !== undefined) selection.atMost = octets(flags['smaller-than'], '--smaller-than') - 1
  if (flags.status !== undefined) selection.status = statusOf(flags.status)
  if (flags.label !== undefined) selection.labels = labelsOf(flags.label)
  if (flags.reply !== undefined) selection.lastReply = flags.reply
  return selection
}

/** The labels in `name=value`. */
export function labelsOf(texts: readonly string[]): Labels {
  return Object.fromEntries(
    texts.map((text) => {
      const equals = text.indexOf('=')
      if (equals < 1) throw new UsageError(`--label wants NAME=VALUE, not ${JSON.stringify(text)}`)
      return [text.slice(0, equals), text.slice(equals + 1)]
    }),
  )
}

/** A duration such as `30m` or `5d`, in ms. */
export function duration(text: string, option: string): number {
  try {
    return milliseconds(text as Duration)
  } catch {
    throw new UsageError(`${option} wants a duration such as 30m, 4h or 5d, not ${JSON.stringify(text)}`)
  }
}

/** A whole number above zero. */
export function count(text: string, option: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new UsageError(`${option} wants a number, not ${JSON.stringify(text)}`)
  return Number(text)
}

function domainOf({ domain, recipient }: Flags): string {
  if (recipient !== undefined) throw new UsageError('--recipient and --domain cannot be given together')
  return `@${domain!.replace(/^@/, '')}`
}

function octets(text: string, option: string): number {
  const match = /^(\d{1,12})([kmg]?)$/i.exec(text)
  if (match === null)
    throw new UsageError(`${option} wants a size such as 5000, 100k or 20M, not ${JSON.stringify(text)}`)
  return Number(match[1]) * UNITS[match[2]!.toLowerCase()]!
}

function statusOf(text: string): EntryStatus {
  const status = STATUSES.find((each) => each === text)
  if (status !== undefined) return status
  throw new UsageError(`--status wants ${STATUSES.join(', ')}, not ${JSON.stringify(text)}`)
}
