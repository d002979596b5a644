/**
 * One number about the queue, kept with every change and right after a crash. Two counters on disk, because there are two
 * kinds of change:
 * - `flow`: what the fast paths of the owner do. Kept in memory and written once per batch, by a hook that runs as the
 *   batch is closed: what is written is the sum of all changes up to and including that batch.
 * - `changes`: what transactions do. Gathered inside the transaction and written at its end, in whichever process.
 */
import { counterValue, type Database, readCounter } from './database.ts'

export class Tally {
  readonly #db: Database
  readonly #flowName: string
  readonly #changesName: string
  #flow: number
  /** What the disk says of `#flow`; no number when nobody knows. */
  #written: number
  #change = 0

  constructor(db: Database, flowName: string, changesName: string) {
    this.#db = db
    this.#flowName = flowName
    this.#changesName = changesName
    this.#flow = readCounter(db, flowName)
    this.#written = this.#flow
  }

  /** A change of a fast path, made as it is queued. */
  flow(by: number): void {
    this.#flow += by
  }

  /** A change that came to nothing. Whether a batch that counts it is on the disk is unknown. */
  takeBack(by: number): void {
    this.#flow -= by
    this.#written = Number.NaN
  }

  /** Part of a batch. */
  writeFlow(): Promise<unknown> | undefined {
    if (this.#flow === this.#written) return undefined
    this.#written = this.#flow
    return this.#db.counters.put(this.#flowName, counterValue(this.#flow))
  }

  /** A change inside a write transaction. */
  change(by: number): void {
    this.#change += by
  }

  /** A transaction begins: nothing is left of one that failed. */
  begin(): void {
    this.#change = 0
  }

  /** A transaction ends. */
  writeChange(): void {
    if (this.#change === 0) return
    this.#db.counters.put(this.#changesName, counterValue(readCounter(this.#db, this.#changesName) + this.#change))
    this.#change = 0
  }

  /** Inside a write transaction of a store at rest: what was counted is wrong, this is right. */
  set(total: number): void {
    this.#db.counters.put(this.#changesName, counterValue(total - this.#flow))
  }

  /** As committed. */
  read(): number {
    return readCounter(this.#db, this.#flowName) + readCounter(this.#db, this.#changesName)
  }
}
