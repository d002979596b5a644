/**
 * Who gets a line of its own, so that it never stands in front of others: mail that a label names as part of a stream,
 * such as a campaign, and a message with very many recipients at one destination. Lines of a destination take turns.
 */
import {
  destinationKey,
  type Labels,
  laneKey,
  type MailOptions,
  type MessageId,
  type NewEntry,
  parseLaneKey,
} from '@mailwright/core'
import { ERROR_TRANSPORT } from './error-lane.ts'

/** Labels whose values name streams, the first that a message has; or a function of its labels. */
export type StreamsOption = readonly string[] | ((labels: Labels) => string | undefined)

export interface StreamRules {
  /** The stream of labelled mail; undefined: the common line. Does not throw. */
  readonly streamOf: (labels: Labels) => string | undefined
  /** A message with more entries than this for one lane has a line of its own there. */
  readonly bulkAbove: number
}

/** Names longer than this are cut; what is cut off is told by a number. */
const LONGEST_NAME = 64

/** Reads the option. `failed` is told when the host's function throws: its mail is then in the common line. */
export function streamOf(
  option: StreamsOption | undefined,
  failed: (error: unknown) => void,
): (labels: Labels) => string | undefined {
  if (option === undefined) return () => undefined
  if (typeof option !== 'function') return (labels) => firstOf(labels, option)
  return (labels) => {
    try {
      return option(labels)
    } catch (error) {
      failed(error)
      return undefined
    }
  }
}

function firstOf(labels: Labels, names: readonly string[]): string | undefined {
  for (const name of names) if (Object.hasOwn(labels, name)) return labels[name]
  return undefined
}

/** The entries of a message in the lines where they belong. The same entries where that is the common one. */
export function inStreams(
  entries: readonly NewEntry[],
  message: MessageId,
  { labels }: MailOptions,
  { streamOf, bulkAbove }: StreamRules,
): readonly NewEntry[] {
  const named = labels === undefined ? undefined : streamOf(labels)
  const stream = named === undefined || named === '' ? undefined : streamName(named)
  const bulky = entries.length > bulkAbove ? bulkyLanes(entries, bulkAbove) : undefined
  if (stream === undefined && bulky === undefined) return entries
  const own = streamName(message)
  return entries.map((entry) => {
    const its = bulky?.has(entry.lane) === true ? own : stream
    return its === undefined ? entry : inStream(entry, its)
  })
}

/** Entries that go on from a lane, in the stream that it has: a giant or a campaign stays apart wherever it goes. */
export function inStreamOf(from: string, entries: readonly NewEntry[]): readonly NewEntry[] {
  const { stream } = parseLaneKey(from)
  if (stream === undefined) return entries
  return entries.map((entry) => inStream(entry, stream))
}

/** What a router has put into a stream stays there, and what was refused goes nowhere. */
function inStream(entry: NewEntry, stream: string): NewEntry {
  const { transport, destination } = parseLaneKey(entry.lane)
  if (transport === ERROR_TRANSPORT || entry.lane !== destinationKey(entry.lane)) return entry
  return { ...entry, lane: laneKey({ transport, destination, stream }) }
}

function bulkyLanes(entries: readonly NewEntry[], bulkAbove: number): ReadonlySet<string> | undefined {
  const count = new Map<string, number>()
  for (const { lane } of entries) count.set(lane, (count.get(lane) ?? 0) + 1)
  const bulky = [...count].filter(([, entriesThere]) => entriesThere > bulkAbove).map(([lane]) => lane)
  return bulky.length === 0 ? undefined : new Set(bulky)
}

/**
 * A name as it may stand in the key of a lane: letters, digits and `.`, `_`, `-`, `@`, `+`; others as `=` and two hex
 * digits for each octet.
 */
function streamName(name: string): string {
  const written = /^[\w.@+-]+$/.test(name)
    ? name
    : Array.from(Buffer.from(name), (octet) => {
        const character = String.fromCharCode(octet)
        return /[\w.@+-]/.test(character) ? character : `=${octet.toString(16).padStart(2, '0')}`
      }).join('')
  if (written.length <= LONGEST_NAME) return written
  let rest = 0
  for (const character of written) rest = (Math.imul(rest, 31) + character.charCodeAt(0)) | 0
  return `${written.slice(0, LONGEST_NAME - 9)}+${(rest >>> 0).toString(16)}`
}
