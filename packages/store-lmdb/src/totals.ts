/**
 * The bytes in the queue, kept with every change and right after a crash. Everything else in `stats` LMDB counts itself.
 *
 * Two counters, because there are two kinds of change:
 * - `flow`: what the fast paths of the owner put and remove. Kept in memory and written once per batch, by a hook that
 *   runs as the batch is closed: what is written is the sum of all changes up to and including that batch.
 * - `changes`: what transactions put and remove. Read and written inside the transaction, in whichever process.
 */
import { counterValue, type Database, readCounter } from './database.ts'

export class Totals {
  readonly #db: Database
  #flow: number

  constructor(db: Database) {
    this.#db = db
    this.#flow = readCounter(db, 'flow')
  }

  /** Writes `flow` with every batch from now on. */
  follow(failed: (error: unknown) => void): void {
    this.#db.root.on('beforecommit', () => {
      Promise.resolve(this.#db.counters.put('flow', counterValue(this.#flow))).catch(failed)
    })
  }

  /** A change of a fast path, made as it is queued, and taken back when it fails. */
  flow(bytes: number): void {
    this.#flow += bytes
  }

  /** Writes `flow` after a change was taken back whose batch is committed: nothing else may follow to correct it. */
  async correct(): Promise<void> {
    await this.#db.counters.put('flow', counterValue(this.#flow))
  }

  /** A change inside a write transaction. */
  change(bytes: number): void {
    if (bytes !== 0) this.#db.counters.put('changes', counterValue(readCounter(this.#db, 'changes') + bytes))
  }

  /** As committed. */
  read(): number {
    return readCounter(this.#db, 'flow') + readCounter(this.#db, 'changes')
  }
}
