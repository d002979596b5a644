/**
 * The queue on a local disk: LMDB for metadata and small bodies, a file for each large one. The port is `QueueStore` in
 * core; how it is laid out is in `database.ts`, and what a crash can leave in this package's README.
 *
 * Two ways to write. The fast ones, for a message of one lane that is put and then done with, only queue rows: LMDB
 * writes all rows queued in one turn of the event loop, by whomever, in one commit with one sync, in its own thread, and
 * a row that changed meanwhile makes the batch's part fail instead of being read first. Everything else reads and writes
 * inside a transaction. Both resolve when the commit is on the disk.
 */
import {
  type Arrival,
  type Awaitable,
  type Call,
  type Claim,
  type ClaimQuery,
  type EntriesQuery,
  type Events,
  type Instruction,
  type LaneDue,
  type LaneQuery,
  type LaneShape,
  MailwrightError,
  type MessageId,
  type MessageSource,
  type NewMessage,
  type PutClaim,
  type QueueEntry,
  type QueueStats,
  type QueueStore,
  type Remainder,
  type Reply,
  type Selection,
  type Settlement,
  type ShapeQuery,
  type Spool,
  type Suspension,
  type SuspensionScope,
  type TransientCode,
} from '@mailwright/core'
import { letBe } from './body-file.ts'
import { Claiming } from './claiming.ts'
import { storageFailure } from './failure.ts'
import { type OpenSpool, openSpool, recover } from './opening.ts'
import { Operating } from './operating.ts'
import { type LmdbStoreOptions, type LmdbStoreSettings, settingsOf } from './options.ts'
import { Putting } from './putting.ts'
import { Settling } from './settling.ts'
import { Stops } from './stops.ts'
import { assemble, type StoreParts } from './store-parts.ts'
import { type WakeFile, wakeOwner, watchWakeFile } from './wake-file.ts'

/** A `QueueStore` on a local disk. */
export interface LmdbStore extends QueueStore {
  /** Whether writes are under way in LMDB's own thread, where no test clock sees them. */
  busy(): boolean
}

/**
 * The embedded queue store.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for options that cannot work.
 * @example
 * const queue = messageQueue({ store: lmdbStore({ directory: './spool' }), router, transports })
 */
export function lmdbStore(options: LmdbStoreOptions): LmdbStore {
  return new DiskStore(settingsOf(options))
}

/** What is there between `open` and `close`. */
interface Running {
  readonly parts: StoreParts
  readonly spool: OpenSpool
  readonly wake: WakeFile | undefined
  readonly putting: Putting
  readonly claiming: Claiming
  readonly settling: Settling
  readonly operating: Operating
  readonly stops: Stops
}

class DiskStore implements LmdbStore {
  readonly #settings: LmdbStoreSettings
  readonly #listeners = new Set<(by: Arrival) => void>()
  #state: Running | undefined
  #opening = false

  constructor(settings: LmdbStoreSettings) {
    this.#settings = settings
  }

  async open(events: Events): Promise<void> {
    if (this.#state !== undefined || this.#opening)
      throw new MailwrightError('ERR_MAILWRIGHT_STORE_BUSY', 'the store is open already')
    this.#opening = true
    try {
      const spool = await openSpool(this.#settings)
      try {
        this.#state = await this.#start(spool, events)
      } catch (error) {
        await closeSpool(spool)
        throw await storageFailure(error)
      }
    } finally {
      this.#opening = false
    }
  }

  async close(): Promise<void> {
    const running = this.#state
    if (running === undefined) return
    this.#state = undefined
    running.wake?.close()
    await running.parts.work.idle()
    await running.parts.space.settled()
    await foldCounts(running.parts)
    await closeSpool(running.spool)
  }

  spool(): Spool {
    return this.#running().parts.files.spool()
  }

  async put(
    message: NewMessage,
    source: MessageSource,
    claim: PutClaim | undefined,
    call: Call,
  ): Promise<readonly Claim[]> {
    const { putting, parts } = this.#running()
    parts.work.begin()
    try {
      return await putting.put(message, source, claim, call)
    } finally {
      this.#wakeOwner(parts)
      parts.work.end()
    }
  }

  async lanes(query: LaneQuery): Promise<readonly LaneDue[]> {
    return this.#read((running) => running.claiming.lanes(query))
  }

  async claim(query: ClaimQuery): Promise<readonly Claim[]> {
    return this.#read((running) => running.claiming.claim(query))
  }

  async renew(claim: Claim, until: number): Promise<void> {
    return this.#read((running) => running.claiming.renew(claim, until))
  }

  async settle(claim: Claim, settlement: Settlement): Promise<Remainder> {
    const { settling, parts } = this.#running()
    parts.work.begin()
    try {
      return await settling.settle(claim, settlement)
    } finally {
      parts.work.end()
    }
  }

  async nextDue(exclude?: ReadonlySet<string>): Promise<number | undefined> {
    return this.#read(({ parts }) => parts.lanes.nextDue(exclude))
  }

  async entries(query: EntriesQuery): Promise<readonly QueueEntry[]> {
    return this.#read(({ operating }) => operating.entries(query))
  }

  async read(message: MessageId): Promise<MessageSource | undefined> {
    return this.#read(({ operating }) => operating.read(message))
  }

  async hold(selection: Selection, reason: string): Promise<number> {
    return this.#change(({ operating }) => operating.hold(selection, reason))
  }

  async release(selection: Selection, now: number): Promise<number> {
    return this.#announced(await this.#change(({ operating }) => operating.release(selection, now)))
  }

  async reschedule(selection: Selection, dueAt: number): Promise<number> {
    return this.#announced(await this.#change(({ operating }) => operating.reschedule(selection, dueAt)))
  }

  async instruct(selection: Selection, instruction: Instruction, now: number): Promise<number> {
    return this.#announced(await this.#change(({ operating }) => operating.instruct(selection, instruction, now)))
  }

  async remove(selection: Selection): Promise<number> {
    return this.#change(({ operating }) => operating.remove(selection))
  }

  async stats(): Promise<QueueStats> {
    return this.#read(({ operating }) => operating.stats())
  }

  async shape(query: ShapeQuery): Promise<readonly LaneShape[]> {
    return this.#read(({ operating }) => operating.shape(query))
  }

  async suspend(suspension: Suspension): Promise<void> {
    await this.#change(({ stops }) => stops.suspend(suspension))
    this.#announce('operator')
  }

  async resume(scope: SuspensionScope): Promise<boolean> {
    const ended = await this.#change(({ stops }) => stops.resume(scope))
    if (ended > 0) this.#announce('operator')
    return ended > 0
  }

  async suspensions(): Promise<readonly Suspension[]> {
    return this.#read(({ stops }) => stops.list())
  }

  refusing(): Reply<TransientCode> | null {
    return this.#state?.parts.space.refusing() ?? null
  }

  onArrival(listener: (by: Arrival) => void): () => void {
    const own = (by: Arrival): void => listener(by)
    this.#listeners.add(own)
    return () => this.#listeners.delete(own)
  }

  busy(): boolean {
    return this.#opening || (this.#state?.parts.work.busy ?? false)
  }

  async #start(spool: OpenSpool, events: Events): Promise<Running> {
    const { directory, access } = this.#settings
    const parts = await assemble(this.#settings, spool, events, () => this.#announce())
    await parts.files.prepare()
    let wake: WakeFile | undefined
    if (access === 'owner') {
      const recovered = await recover(parts.db, parts.codec, parts.files)
      events.emit({ type: 'store.recovered', ...recovered })
      for (const { message, problem } of spool.aside) events.emit({ type: 'store.corrupt', message, problem })
      const { ages } = parts.counts
      if (ages.hasEarlier) parts.work.background(() => ages.foldEarlier(parts.transaction))
      const where = `watching ${directory}`
      wake = await watchWakeFile(
        directory,
        () => this.#woken(parts),
        (error) => events.emit({ type: 'failure', where, error }),
      )
    }
    parts.space.look()
    await parts.space.settled()
    const putting = new Putting(parts)
    const settling = new Settling(parts, putting)
    return {
      parts,
      spool,
      wake,
      putting,
      settling,
      claiming: new Claiming(parts),
      operating: new Operating(parts),
      stops: new Stops(parts),
    }
  }

  #running(): Running {
    if (this.#state === undefined) throw new MailwrightError('ERR_MAILWRIGHT_STOPPED', 'the store is not open')
    return this.#state
  }

  async #read<T>(work: (running: Running) => Awaitable<T>): Promise<T> {
    const running = this.#running()
    running.parts.work.begin()
    try {
      return await work(running)
    } catch (error) {
      throw await running.parts.failure(error)
    } finally {
      running.parts.work.end()
    }
  }

  async #change(work: (running: Running) => Promise<number>): Promise<number> {
    const { parts } = this.#running()
    return this.#read(async (running) => {
      const changed = await work(running)
      if (changed > 0) await this.#tellOwner(parts)
      return changed
    })
  }

  #announced(changed: number): number {
    if (changed > 0) this.#announce()
    return changed
  }

  #announce(by: Arrival = 'mail'): void {
    for (const listener of this.#listeners) listener(by)
  }

  /** Another process changed the spool: an operator, for there is one owner. */
  #woken({ db, lanes }: StoreParts): void {
    if (this.#state === undefined) return
    db.root.resetReadTxn()
    lanes.forget()
    this.#announce('operator')
  }

  /** After an operator's change. */
  async #tellOwner(parts: StoreParts): Promise<void> {
    if (parts.settings.access !== 'operator') return
    await parts.inPlace()
    this.#wakeOwner(parts)
  }

  #wakeOwner({ settings, work }: StoreParts): void {
    if (settings.access === 'operator') work.background(() => wakeOwner(settings.directory))
  }
}

/** Spares the next opening the work, where that can be done. */
async function foldCounts({ counts, settings, transaction }: StoreParts): Promise<void> {
  if (settings.access === 'owner') await counts.ages.foldAll(transaction).catch(letBe)
}

async function closeSpool({ db, lock }: OpenSpool): Promise<void> {
  try {
    await db.root.close()
  } finally {
    await lock?.release()
  }
}
