/**
 * What an operator sees and does. Entries are read page by page and chosen here, by the one reading of a selection; a change
 * is written only where the entry still is what was read, and what is not is read again. Others run between pages. When the
 * server fails half way, what was done is done; doing it again is safe.
 */
import {
  type EntriesQuery,
  type Instruction,
  isSelected,
  type LaneShape,
  MailwrightError,
  type MessageId,
  type QueueEntry,
  type QueueStats,
  type Selection,
  type ShapeQuery,
  type Suspension,
} from '@mailwright/core'
import type { Link } from './link.ts'
import type { MessageBodies } from './message-bodies.ts'
import { CHANGE, LIST, LOOK_UP, RESUME, SHAPE, STATS, SUSPEND, SUSPENSIONS, TELL } from './operator-scripts.ts'
import type { Quarantine } from './quarantine.ts'
import { assertTime, type RawRow, type Row, readRow, textOf } from './record.ts'
import type { StoreParts } from './store-parts.ts'

/** Messages read at once. */
const PAGE = 200
/** How often an entry is looked at again that others keep changing. */
const MOST_LOOKS = 50
/** Age is counted in periods of so many ms. */
const PERIOD_MS = 300_000

interface Change {
  readonly verb: 'hold' | 'release' | 'reschedule' | 'instruct' | 'remove'
  readonly value?: string
  readonly dueAt?: number
}

/** What CHANGE answers. An empty list of Lua is no list of JSON. */
interface Changed {
  readonly changed: number
  readonly stale: readonly string[] | object
  readonly bodies: readonly string[] | object
}

export class Operating {
  readonly #link: Link
  readonly #bodies: MessageBodies
  readonly #quarantine: Quarantine

  constructor({ link, bodies, quarantine }: StoreParts) {
    this.#link = link
    this.#bodies = bodies
    this.#quarantine = quarantine
  }

  async entries({ selection = {}, limit, after }: EntriesQuery): Promise<readonly QueueEntry[]> {
    const found: QueueEntry[] = []
    for await (const page of this.#pages(selection, limit, after)) {
      for (const { entry } of page) if (found.length < limit) found.push(entry)
      if (found.length >= limit) break
    }
    return found
  }

  async hold(selection: Selection, reason: string): Promise<number> {
    if (selection.held === true) return 0
    return this.#change({ ...selection, held: false }, { verb: 'hold', value: reason })
  }

  async release(selection: Selection, now: number): Promise<number> {
    if (selection.held === false) return 0
    return this.#change({ ...selection, held: true }, { verb: 'release', dueAt: now })
  }

  async reschedule(selection: Selection, dueAt: number): Promise<number> {
    return this.#change(selection, { verb: 'reschedule', dueAt })
  }

  async instruct(selection: Selection, instruction: Instruction, now: number): Promise<number> {
    return this.#change(selection, { verb: 'instruct', value: JSON.stringify(instruction), dueAt: now })
  }

  async remove(selection: Selection): Promise<number> {
    return this.#change(selection, { verb: 'remove' })
  }

  async stats(): Promise<QueueStats> {
    const answer = (await this.#link.run(STATS, [])) as readonly (string | number | null)[]
    const [messages, entries, held, deferred, claimed, bytes, lanes] = answer.map(Number)
    const oldest = answer[7]
    return {
      messages: messages!,
      entries: entries!,
      held: held!,
      deferred: deferred!,
      claimed: claimed!,
      bytes: bytes!,
      lanes: lanes!,
      oldest: oldest === null || oldest === undefined ? undefined : Number(oldest),
    }
  }

  async shape({ now, ages, limit }: ShapeQuery): Promise<readonly LaneShape[]> {
    if (limit < 1) return []
    const answer = (await this.#link.run(SHAPE, [Math.floor(limit)])) as readonly [string, string, readonly string[]][]
    return answer.map(([lane, entries, periods]) => {
      const columns = new Array<number>(ages.length + 1).fill(0)
      for (let index = 0; index < periods.length; index += 2) {
        const age = now - Number(periods[index]) * PERIOD_MS
        const column = ages.findIndex((bound) => age <= bound)
        columns[column < 0 ? ages.length : column]! += Number(periods[index + 1])
      }
      return { lane, entries: Number(entries), ages: columns }
    })
  }

  async suspend(key: string, suspension: Suspension): Promise<void> {
    await this.#link.run(SUSPEND, [key, JSON.stringify(suspension)])
  }

  async resume(key: string): Promise<boolean> {
    return Number(await this.#link.run(RESUME, [key])) === 1
  }

  async suspensions(): Promise<readonly Suspension[]> {
    const flat = (await this.#link.run(SUSPENSIONS, [])) as readonly string[]
    const byKey: (readonly [string, string])[] = []
    for (let index = 0; index < flat.length; index += 2) byKey.push([flat[index]!, flat[index + 1]!])
    byKey.sort(([one], [other]) => (one < other ? -1 : 1))
    return byKey.map(([, suspension]) => JSON.parse(suspension) as Suspension)
  }

  async *#pages(selection: Selection, limit: number, after?: EntriesQuery['after']): AsyncGenerator<readonly Row[]> {
    if (selection.messages !== undefined) {
      yield* this.#pagesOf(selection, selection.messages, after)
      return
    }
    const isEverything = Object.values(selection).every((condition) => condition === undefined)
    const size = isEverything ? Math.max(1, Math.min(limit, PAGE)) : PAGE
    let from: readonly [MessageId, number] = after === undefined ? ['', -1] : [after.message, after.entry]
    for (;;) {
      const [last, ...rows] = (await this.#link.runBytes(LIST, [...from, size])) as readonly [Uint8Array, ...RawRow[]]
      yield this.#quarantine.sift(rows, readRow).filter(({ entry }) => isSelected(selection, entry))
      const next = textOf(last)
      if (next === '') return
      // All entries of it have been read.
      from = [next, Number.MAX_SAFE_INTEGER]
    }
  }

  async *#pagesOf(
    selection: Selection,
    messages: readonly MessageId[],
    after: EntriesQuery['after'],
  ): AsyncGenerator<readonly Row[]> {
    const wanted = [...new Set(messages)].sort()
    for (let at = 0; at < wanted.length; at += PAGE) {
      const rows = await this.#lookUp(wanted.slice(at, at + PAGE))
      yield rows.filter(({ entry }) => isLater(entry, after) && isSelected(selection, entry))
    }
  }

  async #lookUp(messages: readonly MessageId[]): Promise<readonly Row[]> {
    return this.#quarantine.sift((await this.#link.runBytes(LOOK_UP, messages)) as readonly RawRow[], readRow)
  }

  async #change(selection: Selection, change: Change): Promise<number> {
    if (change.dueAt !== undefined) assertTime(change.dueAt)
    let changed = 0
    try {
      for await (const page of this.#pages(selection, Number.POSITIVE_INFINITY))
        changed += await this.#changeRows(selection, change, page)
    } finally {
      // Also after half of it.
      if (changed > 0) await this.#link.run(TELL, [])
    }
    return changed
  }

  async #changeRows(selection: Selection, change: Change, page: readonly Row[]): Promise<number> {
    let changed = 0
    let rows = page
    for (let looks = 0; rows.length > 0; looks++) {
      if (looks === MOST_LOOKS)
        throw new MailwrightError('ERR_MAILWRIGHT_STORE', 'entries changed faster than an operator can change them')
      const answer = await this.#write(change, rows)
      changed += answer.changed
      for (const body of listOf(answer.bodies)) await this.#bodies.remove(body)
      const stale = new Set(listOf(answer.stale))
      if (stale.size === 0) break
      const again = await this.#lookUp([...new Set(rows.map(({ entry }) => entry.message))])
      rows = again.filter(({ entry }) => stale.has(`${entry.message}/${entry.entry}`) && isSelected(selection, entry))
    }
    return changed
  }

  async #write({ verb, value = '', dueAt }: Change, rows: readonly Row[]): Promise<Changed> {
    const triples = rows.flatMap(({ entry, seen }) => [entry.message, entry.entry, seen])
    return JSON.parse(String(await this.#link.run(CHANGE, [verb, value, dueAt ?? '', ...triples]))) as Changed
  }
}

function isLater({ message, entry }: QueueEntry, after: EntriesQuery['after']): boolean {
  return after === undefined || message > after.message || (message === after.message && entry > after.entry)
}

function listOf(list: readonly string[] | object): readonly string[] {
  return Array.isArray(list) ? list : []
}
