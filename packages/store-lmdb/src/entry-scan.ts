/**
 * Going through entries in order of message id. The only thing here that takes time in proportion to the queue, so it
 * goes page by page and lets others run between pages; a page is a consistent view, a scan is not.
 */
import { isSelected, type MessageId, type Selection } from '@mailwright/core'
import type { Database, EntryKey } from './database.ts'
import { CorruptRecord, describeEntry, type EntryRow } from './record.ts'
import type { RecordCodec } from './record-codec.ts'

export interface ScannedEntry {
  readonly message: MessageId
  readonly entry: number
  readonly row: EntryRow
}

/** Rows read before others may run. */
const PAGE = 500

/** Where to look, and with what. */
export interface Scanned {
  readonly db: Database
  readonly codec: RecordCodec
  /** Whether somebody is delivering an entry. */
  readonly isClaimed: (message: MessageId, entry: number) => boolean
  /** Hears of rows that cannot be read; they are passed over. */
  readonly corrupt: (message: MessageId, entry: number, problem: string) => void
}

/** Pages of at least one selected entry each, of a caller who wants `limit` entries. */
export async function* scanEntries(
  scanned: Scanned,
  selection: Selection,
  limit: number,
  after: EntryKey | undefined,
): AsyncGenerator<readonly ScannedEntry[]> {
  const { db } = scanned
  const isEverything = Object.values(selection).every((condition) => condition === undefined)
  const pageSize = isEverything ? Math.max(1, Math.min(limit, PAGE)) : PAGE
  const ranges = selection.messages === undefined ? [undefined] : [...new Set(selection.messages)].sort()
  for (const message of ranges) {
    const start: EntryKey = message === undefined ? [firstId(), 0] : [message, 0]
    const end: EntryKey | undefined = message === undefined ? undefined : [message, Number.MAX_VALUE]
    if (message !== undefined && after !== undefined && after[0] > message) continue
    let last = after
    for (;;) {
      const page: ScannedEntry[] = []
      let read = 0
      const from = last !== undefined && (message === undefined || isAfter(last, start)) ? last : start
      const exclusiveStart = from === last
      for (const { key, value } of db.entries.getRange({
        start: from,
        ...(end && { end }),
        exclusiveStart,
        limit: pageSize,
      })) {
        read += 1
        last = key
        const found = decode(scanned, key, value)
        if (found !== undefined && isWanted(selection, found, scanned.isClaimed)) page.push(found)
      }
      if (page.length > 0) yield page
      if (read < pageSize) break
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}

/** Whether a selection means an entry as it stands. */
export function isWanted(
  selection: Selection,
  { message, entry, row }: ScannedEntry,
  isClaimed: Scanned['isClaimed'],
): boolean {
  return isSelected(selection, describeEntry(message, entry, row, isClaimed(message, entry)))
}

/** Before every id. */
function firstId(): MessageId {
  return ' '
}

function isAfter(one: EntryKey, other: EntryKey): boolean {
  return one[0] > other[0] || (one[0] === other[0] && one[1] >= other[1])
}

function decode({ codec, corrupt }: Scanned, [message, entry]: EntryKey, value: Uint8Array): ScannedEntry | undefined {
  try {
    return { message, entry, row: codec.entry(message, entry, value) }
  } catch (error) {
    if (!(error instanceof CorruptRecord)) throw error
    corrupt(message, entry, error.message)
    return undefined
  }
}
