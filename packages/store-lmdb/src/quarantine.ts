/**
 * Records that cannot be read are moved to `corrupt`, as they are, and everything else goes on. A message whose record
 * is broken takes its entries along; an entry that is broken leaves the others of its message alone. Nobody is told
 * twice, and nothing waits for it.
 */
import { claimLane, type EventOf, type MessageId } from '@mailwright/core'
import type { Counts } from './counts.ts'
import { counterValue, type Database, type DueKey } from './database.ts'
import type { EntryRow } from './record.ts'
import type { RecordCodec } from './record-codec.ts'

/** The counter that says so, when it is not zero. */
export const REBUILD = 'rebuild'
/** Bodies remembered as reported. */
const MOST_REPORTED = 10_000

export class Quarantine {
  readonly #db: Database
  readonly #counts: Counts
  readonly #codec: RecordCodec
  readonly #background: (work: () => Promise<unknown>) => void
  readonly #emit: (event: EventOf<'store.corrupt'>) => void
  readonly #underWay = new Set<string>()
  readonly #reported = new Set<MessageId>()

  constructor(
    db: Database,
    counts: Counts,
    codec: RecordCodec,
    background: (work: () => Promise<unknown>) => void,
    emit: (event: EventOf<'store.corrupt'>) => void,
  ) {
    this.#db = db
    this.#counts = counts
    this.#codec = codec
    this.#background = background
    this.#emit = emit
  }

  /** Sets an entry aside; `due` is the row that led to it, where one did. */
  entry(message: MessageId, entry: number, problem: string, due?: DueKey): void {
    this.#once(`${message}/${entry}`, message, problem, () => {
      if (due !== undefined) this.#db.due.remove(due)
      const row = this.#moveEntry(message, entry)
      for (const _ of this.#db.entries.getKeys({ start: [message, 0], end: [message, Number.MAX_VALUE], limit: 1 }))
        return
      this.#moveMessage(message, row)
    })
  }

  /** Sets a message aside with all its entries. */
  message(message: MessageId, problem: string): void {
    this.#once(message, message, problem, () => {
      const range = { start: [message, 0] as [string, number], end: [message, Number.MAX_VALUE] as [string, number] }
      let row: EntryRow | undefined
      for (const [, entry] of [...this.#db.entries.getKeys(range)]) row = this.#moveEntry(message, entry) ?? row
      this.#moveMessage(message, row)
    })
  }

  /** A row of `due` without its entry: left by an entry that was set aside when nobody knew its lane. */
  orphan(due: DueKey): void {
    this.#background(() =>
      this.#db.root.childTransaction(() => {
        if (this.#db.entries.doesExist([due[2], due[3]])) return
        this.#db.due.remove(due)
        this.#askForRebuild()
      }),
    )
  }

  /** Reports what stays where it is: a body that cannot be read, whose message its sender is to hear of in the end. */
  report(message: MessageId, problem: string): void {
    if (this.#reported.has(message)) return
    if (this.#reported.size >= MOST_REPORTED) this.#reported.clear()
    this.#reported.add(message)
    this.#emit({ type: 'store.corrupt', message, problem })
  }

  #once(name: string, message: MessageId, problem: string, work: () => void): void {
    if (this.#underWay.has(name)) return
    this.#underWay.add(name)
    this.#emit({ type: 'store.corrupt', message, problem })
    this.#background(async () => {
      try {
        await this.#db.root.childTransaction(this.#counts.counting(work))
      } finally {
        this.#underWay.delete(name)
      }
    })
  }

  #moveEntry(message: MessageId, entry: number): EntryRow | undefined {
    const value = this.#db.entries.get([message, entry])
    if (value === undefined) return undefined
    this.#db.corrupt.put(['entry', message, entry], Buffer.from(value))
    this.#db.entries.remove([message, entry])
    const row = readable(() => this.#codec.entry(message, entry, value))
    if (row === undefined) {
      // Whoever meets its row in `due` removes that. In which lane it was counted nobody knows.
      this.#askForRebuild()
      return undefined
    }
    this.#db.held.remove([row.lane, message, entry])
    this.#db.due.remove([claimLane(row), row.dueAt, message, entry])
    this.#counts.change(row, -1)
    return row
  }

  #moveMessage(message: MessageId, entry: EntryRow | undefined): void {
    const record = this.#db.messages.get(message)
    const facts = record && readable(() => this.#codec.facts(message, record))
    this.#counts.bytes.change(-(entry?.size ?? (facts ? facts.headLength + facts.bodyLength : (record?.length ?? 0))))
    if (record === undefined) return
    this.#db.corrupt.put(['message', message, 0], Buffer.from(record))
    this.#db.messages.remove(message)
  }

  /** Has the next opening make indexes and counts anew. */
  #askForRebuild(): void {
    this.#db.counters.put(REBUILD, counterValue(1))
  }
}

function readable<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
