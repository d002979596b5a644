/**
 * What `stats` and `shape` tell without looking at the queue: bytes, entries that have been tried, and entries by lane and
 * age. LMDB counts rows itself. All of it is written in the commits it counts, so it is right after a crash.
 *
 * One exception: a put whose id turns out to be taken, or an end of an entry that changed meanwhile, is counted in its
 * batch and taken back in the next; a crash between the two leaves the numbers off by that one message.
 */
import type { Database } from './database.ts'
import { LaneAges } from './lane-ages.ts'
import type { EntryRow } from './record.ts'
import { Tally } from './tally.ts'

/** What of an entry is counted. */
export type Counted = Pick<EntryRow, 'lane' | 'arrivedAt' | 'attempts'>

export class Counts {
  readonly bytes: Tally
  readonly deferred: Tally
  readonly ages: LaneAges
  readonly #db: Database

  /** `generation` tells this opening's numbers from those of earlier ones. */
  constructor(db: Database, generation: number) {
    this.#db = db
    this.bytes = new Tally(db, 'flow', 'changes')
    this.deferred = new Tally(db, 'deferred.flow', 'deferred.changes')
    this.ages = new LaneAges(db, generation)
  }

  /** Writes what the fast paths do with every batch from now on. `crowded` is told when there is much to be folded. */
  follow(failed: (error: unknown) => void, crowded: () => void): void {
    this.#db.root.on('beforecommit', () => {
      if (this.ages.isCrowded) crowded()
      let last: Promise<unknown> | undefined
      for (const write of [this.bytes.writeFlow(), this.deferred.writeFlow(), ...this.ages.writeFlow()]) {
        // The rows of a batch share a promise.
        if (write === undefined || write === last) continue
        last = write
        Promise.resolve(write).catch(failed)
      }
    })
  }

  /** A message with all its entries comes (1) or goes (-1) by a fast path. Made as it is queued. */
  flow(rows: readonly Counted[], size: number, by: 1 | -1): void {
    this.bytes.flow(by * size)
    for (const { lane, arrivedAt, attempts } of rows) {
      this.ages.flow(lane, arrivedAt, by)
      if (attempts > 0) this.deferred.flow(by)
    }
  }

  landed(rows: readonly Counted[]): void {
    for (const { lane, arrivedAt } of rows) this.ages.landed(lane, arrivedAt)
  }

  /** The change came to nothing. */
  takeBack(rows: readonly Counted[], size: number, by: 1 | -1): void {
    this.bytes.takeBack(by * size)
    for (const { lane, arrivedAt, attempts } of rows) {
      this.ages.takeBack(lane, arrivedAt, by)
      if (attempts > 0) this.deferred.takeBack(by)
    }
  }

  /** Inside a write transaction: an entry comes or goes. */
  change({ lane, arrivedAt, attempts }: Counted, by: 1 | -1): void {
    this.ages.change(lane, arrivedAt, by)
    if (attempts > 0) this.deferred.change(by)
  }

  /** Makes `change`, which runs inside a write transaction, end with the counts written. */
  counting<T>(change: () => T): () => T {
    return () => {
      this.bytes.begin()
      this.deferred.begin()
      this.ages.begin()
      const result = change()
      this.bytes.writeChange()
      this.deferred.writeChange()
      this.ages.writeChanges()
      return result
    }
  }

  /** Commits what was taken back: nothing else may come to do it. */
  async correct(): Promise<void> {
    await this.bytes.writeFlow()
  }
}
