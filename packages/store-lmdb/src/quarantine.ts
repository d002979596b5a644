/**
 * Records that cannot be read are moved to `corrupt`, as they are, and everything else goes on. A message whose record
 * is broken takes its entries along; an entry that is broken leaves the others of its message alone. Nobody is told
 * twice, and nothing waits for it.
 */
import type { EventOf, MessageId } from '@mailwright/core'
import type { Database, DueKey } from './database.ts'
import { decodeEntry, decodeMessage, type EntryRow } from './record.ts'
import type { Totals } from './totals.ts'

export class Quarantine {
  readonly #db: Database
  readonly #totals: Totals
  readonly #background: (work: () => Promise<unknown>) => void
  readonly #emit: (event: EventOf<'store.corrupt'>) => void
  readonly #underWay = new Set<string>()

  constructor(
    db: Database,
    totals: Totals,
    background: (work: () => Promise<unknown>) => void,
    emit: (event: EventOf<'store.corrupt'>) => void,
  ) {
    this.#db = db
    this.#totals = totals
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
        if (!this.#db.entries.doesExist([due[2], due[3]])) this.#db.due.remove(due)
      }),
    )
  }

  #once(name: string, message: MessageId, problem: string, work: () => void): void {
    if (this.#underWay.has(name)) return
    this.#underWay.add(name)
    this.#emit({ type: 'store.corrupt', message, problem })
    this.#background(async () => {
      try {
        await this.#db.root.childTransaction(work)
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
    const row = readable(() => decodeEntry(value))
    // Where it is the broken one, whoever meets its row in `due` removes that.
    if (row === undefined) return undefined
    this.#db.held.remove([row.lane, message, entry])
    this.#db.due.remove([row.lane, row.dueAt, message, entry])
    return row
  }

  #moveMessage(message: MessageId, entry: EntryRow | undefined): void {
    const record = this.#db.messages.get(message)
    const facts = record && readable(() => decodeMessage(record))
    this.#totals.change(-(entry?.size ?? (facts ? facts.headLength + facts.bodyLength : (record?.length ?? 0))))
    if (record === undefined) return
    this.#db.corrupt.put(['message', message, 0], Buffer.from(record))
    this.#db.messages.remove(message)
  }
}

function readable<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
