/**
 * The queue in memory: the readable reference for every store, and what tests run on. It keeps the whole contract of
 * `QueueStore` except durability: a crash loses everything, while closing and opening again loses only the claims.
 *
 * One entry is one object; its state is what its fields say, and every method is a plain loop over entries. Nothing here
 * waits, except for a body that has to be read into memory before a message is taken.
 */
import {
  type Arrival,
  type Call,
  type Claim,
  type ClaimQuery,
  type EntriesQuery,
  type Events,
  type Instruction,
  isSelected,
  type LaneDue,
  type LaneQuery,
  type LaneShape,
  MailwrightError,
  type MessageId,
  type MessageSource,
  movedEntries,
  type NewEntry,
  type NewMessage,
  type PutClaim,
  type QueueEntry,
  type QueueStats,
  type QueueStore,
  type Remainder,
  type Reply,
  remainingRecipients,
  reply,
  type Selection,
  type Settlement,
  type ShapeQuery,
  type Spool,
  type Suspension,
  type SuspensionScope,
  suspensionKey,
  type TransientCode,
} from '@mailwright/core'
import {
  describe,
  inListingOrder,
  isClaimable,
  type Lease,
  type StoredEntry,
  type StoredMessage,
} from './memory-entry.ts'
import { shapeOf, statsOf } from './memory-figures.ts'
import { MemoryLanes } from './memory-lanes.ts'
import { holdInMemory, memorySpool } from './memory-spool.ts'

export interface MemoryStoreOptions {
  /** Most bytes of heads and bodies. Beyond, `put` rejects and `refusing` answers 452. Default 1 GiB. */
  readonly maxBytes?: number
}

const FULL = reply(452, '4.3.1', 'Insufficient system storage')
const NEVER = new AbortController().signal

/**
 * A queue store in memory.
 *
 * @example
 * const queue = messageQueue({ store: memoryStore(), router, transports })
 */
export function memoryStore(options: MemoryStoreOptions = {}): QueueStore {
  return new MemoryStore(options.maxBytes ?? 2 ** 30)
}

class MemoryStore implements QueueStore {
  readonly #maxBytes: number
  readonly #messages = new Map<MessageId, StoredMessage>()
  readonly #lanes = new MemoryLanes()
  readonly #leased = new Set<StoredEntry>()
  readonly #suspensions = new Map<string, Suspension>()
  readonly #listeners = new Set<(by: Arrival) => void>()
  #bytes = 0
  #tokens = 0
  #open = false

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  async open(events: Events): Promise<void> {
    if (this.#open) throw new MailwrightError('ERR_MAILWRIGHT_STORE_BUSY', 'the store is open already')
    this.#open = true
    events.emit({ type: 'store.recovered', messages: this.#messages.size, strays: 0, corrupt: 0 })
  }

  async close(): Promise<void> {
    this.#open = false
    for (const entry of this.#leased) entry.lease = undefined
    this.#leased.clear()
  }

  spool(): Spool {
    return memorySpool()
  }

  async put(
    message: NewMessage,
    source: MessageSource,
    claim: PutClaim | undefined,
    call: Call,
  ): Promise<readonly Claim[]> {
    this.#assertOpen()
    call.signal.throwIfAborted()
    if (this.#messages.has(message.id)) return []
    const kept = await holdInMemory(source, call)
    if (this.#messages.has(message.id)) return []
    if (this.#bytes + kept.size > this.#maxBytes)
      throw new MailwrightError('ERR_MAILWRIGHT_STORE', 'the memory store is full', { reply: FULL })
    const stored = this.#insert(message, kept)
    if (claim === undefined) return []
    return [...stored.entries]
      .filter((entry) => claim.lanes.has(entry.lane) && isClaimable(entry) && entry.dueAt <= claim.now)
      .map((entry) => this.#lease(entry, claim.now + claim.leaseMs))
  }

  async lanes({ now, limit, exclude }: LaneQuery): Promise<readonly LaneDue[]> {
    this.#assertOpen()
    this.#endLeases(now)
    return [...this.#lanes.due(exclude)]
      .filter((due) => due.dueAt <= now)
      .sort((one, other) => one.dueAt - other.dueAt)
      .slice(0, limit)
  }

  async claim({ lane, now, limit, leaseMs }: ClaimQuery): Promise<readonly Claim[]> {
    this.#assertOpen()
    this.#endLeases(now)
    return this.#lanes
      .of(lane)
      .filter((entry) => isClaimable(entry) && entry.dueAt <= now)
      .sort((one, other) => one.dueAt - other.dueAt || inListingOrder(one, other))
      .slice(0, limit)
      .map((entry) => this.#lease(entry, now + leaseMs))
  }

  async renew(claim: Claim, until: number): Promise<void> {
    this.#assertOpen()
    const { lease } = this.#claimed(claim)
    lease.until = until
    lease.ended = false
  }

  async settle(claim: Claim, { outcomes, retryAt, counted, moved, warned, also }: Settlement): Promise<Remainder> {
    this.#assertOpen()
    this.#claimed(claim)
    const notice = also && { message: also.message, source: await holdInMemory(also.source, { signal: NEVER }) }
    const { entry } = this.#claimed(claim)
    const remaining = remainingRecipients(entry.recipients, outcomes)
    const elsewhere = moved && movedEntries(remaining, moved)
    this.#unlease(entry)
    if (counted) entry.attempts += 1
    entry.warned = warned ?? entry.warned
    entry.recipients = remaining
    // An instruction the attempt knew nothing of is carried out next.
    if (entry.instruction === undefined || claim.entry.instruction !== undefined) entry.dueAt = retryAt
    if (elsewhere !== undefined) this.#move(entry, elsewhere)
    else if (remaining.length === 0) this.#remove(entry)
    if (notice !== undefined && !this.#messages.has(notice.message.id)) this.#insert(notice.message, notice.source)
    return entry.message.entries.size > 0 ? 'waiting' : 'nothing'
  }

  async nextDue(exclude?: ReadonlySet<string>): Promise<number | undefined> {
    this.#assertOpen()
    let next = Number.POSITIVE_INFINITY
    for (const { dueAt } of this.#lanes.due(exclude)) next = Math.min(next, dueAt)
    return next === Number.POSITIVE_INFINITY ? undefined : next
  }

  async entries({ selection, limit, after }: EntriesQuery): Promise<readonly QueueEntry[]> {
    this.#assertOpen()
    const isLater = (entry: StoredEntry): boolean =>
      after === undefined ||
      entry.message.id > after.message ||
      (entry.message.id === after.message && entry.number > after.entry)
    return this.#selected(selection ?? {})
      .filter(isLater)
      .sort(inListingOrder)
      .slice(0, limit)
      .map(describe)
  }

  async read(message: MessageId): Promise<MessageSource | undefined> {
    this.#assertOpen()
    return this.#messages.get(message)?.source
  }

  async hold(selection: Selection, reason: string): Promise<number> {
    return this.#change(selection.held === true ? undefined : { ...selection, held: false }, (entry) => {
      entry.held = reason
    })
  }

  async release(selection: Selection, now: number): Promise<number> {
    const released = this.#change(selection.held === false ? undefined : { ...selection, held: true }, (entry) => {
      entry.held = undefined
      entry.dueAt = now
    })
    if (released > 0) this.#announce()
    return released
  }

  async reschedule(selection: Selection, dueAt: number): Promise<number> {
    const moved = this.#change(selection, (entry) => {
      entry.dueAt = dueAt
    })
    if (moved > 0) this.#announce()
    return moved
  }

  async instruct(selection: Selection, instruction: Instruction, now: number): Promise<number> {
    const instructed = this.#change(selection, (entry) => {
      this.#lanes.delete(entry)
      entry.instruction = instruction
      entry.dueAt = now
      this.#lanes.add(entry)
    })
    if (instructed > 0) this.#announce()
    return instructed
  }

  async remove(selection: Selection): Promise<number> {
    return this.#change(selection, (entry) => this.#remove(entry))
  }

  async stats(): Promise<QueueStats> {
    this.#assertOpen()
    return statsOf(this.#all(), this.#bytes)
  }

  async shape(query: ShapeQuery): Promise<readonly LaneShape[]> {
    this.#assertOpen()
    return shapeOf(this.#all(), query)
  }

  async suspend(suspension: Suspension): Promise<void> {
    this.#assertOpen()
    this.#suspensions.set(suspensionKey(suspension.scope), suspension)
    this.#announce('operator')
  }

  async resume(scope: SuspensionScope): Promise<boolean> {
    this.#assertOpen()
    const ended = this.#suspensions.delete(suspensionKey(scope))
    if (ended) this.#announce('operator')
    return ended
  }

  async suspensions(): Promise<readonly Suspension[]> {
    this.#assertOpen()
    return [...this.#suspensions].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, suspension]) => suspension)
  }

  refusing(): Reply<TransientCode> | null {
    return this.#bytes >= this.#maxBytes ? FULL : null
  }

  onArrival(listener: (by: Arrival) => void): () => void {
    const own = (by: Arrival): void => listener(by)
    this.#listeners.add(own)
    return () => this.#listeners.delete(own)
  }

  #insert(about: NewMessage, source: MessageSource): StoredMessage {
    const message: StoredMessage = { id: about.id, about, source, entries: new Set() }
    for (const [number, entry] of about.entries.entries()) this.#add(message, number, entry)
    this.#messages.set(about.id, message)
    this.#bytes += source.size
    return message
  }

  #add(message: StoredMessage, number: number, { lane, recipients, dueAt, held }: NewEntry): StoredEntry {
    const state = { attempts: 0, instruction: undefined, warned: undefined, lease: undefined }
    const entry: StoredEntry = { message, number, lane, recipients, dueAt, held, ...state }
    message.entries.add(entry)
    this.#lanes.add(entry)
    return entry
  }

  /** Other entries take the place of this one. */
  #move(entry: StoredEntry, elsewhere: readonly NewEntry[]): void {
    const { message, attempts, held, warned } = entry
    let number = Math.max(...Array.from(message.entries, (each) => each.number))
    for (const each of elsewhere) {
      const moved = this.#add(message, ++number, { ...each, held: each.held ?? held })
      moved.attempts = attempts
      moved.warned = warned
    }
    this.#remove(entry)
  }

  #remove(entry: StoredEntry): void {
    const { message } = entry
    this.#unlease(entry)
    message.entries.delete(entry)
    this.#lanes.delete(entry)
    if (message.entries.size > 0) return
    this.#messages.delete(message.id)
    this.#bytes -= message.source.size
  }

  #lease(entry: StoredEntry, until: number): Claim {
    const token = String(++this.#tokens)
    entry.lease = { token, until, ended: false }
    this.#leased.add(entry)
    const { about, source } = entry.message
    return { token, entry: describe(entry), options: about.options, message: source, leaseUntil: until }
  }

  #unlease(entry: StoredEntry): void {
    entry.lease = undefined
    this.#leased.delete(entry)
  }

  #claimed(claim: Claim): { readonly entry: StoredEntry; readonly lease: Lease } {
    const message = this.#messages.get(claim.entry.message)
    for (const entry of message?.entries ?? [])
      if (entry.lease?.token === claim.token) return { entry, lease: entry.lease }
    throw new MailwrightError('ERR_MAILWRIGHT_CLAIM_LOST', `the claim of ${claim.entry.message} was lost`)
  }

  #endLeases(now: number): void {
    for (const { lease } of this.#leased) if (lease !== undefined && lease.until <= now) lease.ended = true
  }

  #all(): StoredEntry[] {
    return [...this.#messages.values()].flatMap((message) => [...message.entries])
  }

  #selected(selection: Selection): StoredEntry[] {
    return this.#all().filter((entry) => isSelected(selection, describe(entry)))
  }

  /** Changes the selected entries, and counts them. */
  #change(selection: Selection | undefined, change: (entry: StoredEntry) => void): number {
    this.#assertOpen()
    const selected = selection === undefined ? [] : this.#selected(selection)
    for (const entry of selected) change(entry)
    return selected.length
  }

  #announce(by: Arrival = 'mail'): void {
    for (const listener of this.#listeners) listener(by)
  }

  #assertOpen(): void {
    if (!this.#open) throw new MailwrightError('ERR_MAILWRIGHT_STOPPED', 'the store is not open')
  }
}
