/**
 * The queue on a Redis or Valkey server, shared by as many nodes as like. The port is `QueueStore` in core. Every change is
 * one script, so that nodes never see half of one; what is written where is in this package's README.
 *
 * Leases are in the server and end by its clock: what a node that died was delivering goes to others when they end. While
 * the server is away nothing is taken or given, and what is being delivered is settled when it is back.
 */
import {
  type Arrival,
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
  suspensionKey,
  type TransientCode,
} from '@mailwright/core'
import { type OpenQueue, openQueue } from './open-queue.ts'
import { type RedisStoreOptions, settingsOf } from './options.ts'

/** A `QueueStore` that several nodes share. */
export interface RedisStore extends QueueStore {
  /** Whether the server is being asked something, which no test clock sees. */
  busy(): boolean
}

/**
 * A queue store on a Redis or Valkey server.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for options that cannot work.
 * @example
 * const queue = messageQueue({ store: redisStore({ url: 'redis://queue.example.org', name: 'edge' }), router, transports })
 */
export function redisStore(options: RedisStoreOptions): RedisStore {
  settingsOf(options)
  return new SharedStore(options)
}

class SharedStore implements RedisStore {
  readonly #options: RedisStoreOptions
  readonly #listeners = new Set<(by: Arrival) => void>()
  #state: OpenQueue | undefined
  #opening = false

  constructor(options: RedisStoreOptions) {
    this.#options = options
  }

  async open(events: Events): Promise<void> {
    if (this.#state !== undefined || this.#opening)
      throw new MailwrightError('ERR_MAILWRIGHT_STORE_BUSY', 'the store is open already')
    this.#opening = true
    try {
      this.#state = await openQueue(this.#options, events, (by) => this.#announce(by))
    } finally {
      this.#opening = false
    }
  }

  async close(): Promise<void> {
    const open = this.#state
    this.#state = undefined
    await open?.close()
  }

  spool(): Spool {
    return this.#open().bodies.spool()
  }

  async put(
    message: NewMessage,
    source: MessageSource,
    claim: PutClaim | undefined,
    call: Call,
  ): Promise<readonly Claim[]> {
    return this.#open().putting.put(message, source, claim, call)
  }

  async lanes(query: LaneQuery): Promise<readonly LaneDue[]> {
    return this.#open().claiming.lanes(query)
  }

  async claim(query: ClaimQuery): Promise<readonly Claim[]> {
    return this.#open().claiming.claim(query)
  }

  async renew(claim: Claim, until: number): Promise<void> {
    return this.#open().claiming.renew(claim, until)
  }

  async settle(claim: Claim, settlement: Settlement): Promise<Remainder> {
    return this.#open().settling.settle(claim, settlement)
  }

  async nextDue(exclude?: ReadonlySet<string>): Promise<number | undefined> {
    return this.#open().claiming.nextDue(exclude)
  }

  async entries(query: EntriesQuery): Promise<readonly QueueEntry[]> {
    return this.#open().operating.entries(query)
  }

  async read(message: MessageId): Promise<MessageSource | undefined> {
    return this.#open().bodies.find(message)
  }

  async hold(selection: Selection, reason: string): Promise<number> {
    return this.#open().operating.hold(selection, reason)
  }

  async release(selection: Selection, now: number): Promise<number> {
    return this.#announced(await this.#open().operating.release(selection, now))
  }

  async reschedule(selection: Selection, dueAt: number): Promise<number> {
    return this.#announced(await this.#open().operating.reschedule(selection, dueAt))
  }

  async instruct(selection: Selection, instruction: Instruction, now: number): Promise<number> {
    return this.#announced(await this.#open().operating.instruct(selection, instruction, now))
  }

  async remove(selection: Selection): Promise<number> {
    return this.#open().operating.remove(selection)
  }

  async stats(): Promise<QueueStats> {
    return this.#open().operating.stats()
  }

  async shape(query: ShapeQuery): Promise<readonly LaneShape[]> {
    return this.#open().operating.shape(query)
  }

  async suspend(suspension: Suspension): Promise<void> {
    await this.#open().operating.suspend(suspensionKey(suspension.scope), suspension)
    this.#announce('operator')
  }

  async resume(scope: SuspensionScope): Promise<boolean> {
    const ended = await this.#open().operating.resume(suspensionKey(scope))
    if (ended) this.#announce('operator')
    return ended
  }

  async suspensions(): Promise<readonly Suspension[]> {
    return this.#open().operating.suspensions()
  }

  refusing(): Reply<TransientCode> | null {
    return this.#state?.room.refusing() ?? null
  }

  onArrival(listener: (by: Arrival) => void): () => void {
    const own = (by: Arrival): void => listener(by)
    this.#listeners.add(own)
    return () => this.#listeners.delete(own)
  }

  busy(): boolean {
    return this.#opening || (this.#state?.link.isBusy ?? false)
  }

  #open(): OpenQueue {
    if (this.#state === undefined) throw new MailwrightError('ERR_MAILWRIGHT_STOPPED', 'the store is not open')
    return this.#state
  }

  #announced(changed: number): number {
    if (changed > 0) this.#announce('mail')
    return changed
  }

  #announce(by: Arrival): void {
    for (const listener of this.#listeners) listener(by)
  }
}
