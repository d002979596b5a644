/**
 * Records that cannot be read are moved to `corrupt`, as they are, and everything else goes on. A message whose record
 * is broken takes its entries along; an entry that is broken leaves the others of its message alone. Nobody is told
 * twice, and nothing waits for it.
 */
import type { EventOf, MessageId } from '@mailwright/core'
import type { Database, DueKey } from './database.ts'
import { decodeEntry } from './record.ts'
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
      this.#moveEntry(message, entry)
      for (const _ of this.#db.entries.getKeys({ start: [message, 0], end: [message, Number.MAX_VALUE], limit: 1 })) return
      this.#moveMessage(message)
    })
  }

  /** Sets a message aside with all its entries. */
  message(message: MessageId, problem: string): void {
    this.#once(message, message, problem, () => {
      const range = { start: [message, 0] as [string, number], end: [message, Number.MAX_VALUE] as [string, number] }
      for (const [, entry] of [...this.#db.entries.getKeys(range)]) this.#moveEntry(message, entry)
      this.#moveMessage(message)
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

  #moveEntry(message: MessageId, entry: number): void {
    const value = this.#db.entries.get([message, entry])
    if (value === undefined) return
    this.#db.corrupt.put(['entry', message, entry], Buffer.from(value))
    this.#db.entries.remove([message, entry])
    try {
      const row = decodeEntry(value)
      this.#db.held.remove([row.lane, message, entry])
      this.#db.due.remove([row.lane, row.dueAt, message, entry])
      if (entry === 0) this.#totals.change(-row.size)
    } catch {
      // It is the broken one: whoever meets its row in `due` removes that.
    }
  }

  #moveMessage(message: MessageId): void {
    const record = this.#db.messages.get(message)
    if (record === undefined) return
    this.#db.corrupt.put(['message', message, 0], Buffer.from(record))
    this.#db.messages.remove(message)
  }
}
