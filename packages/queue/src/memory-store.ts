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
  isSelected,
  type LaneDue,
  type LaneQuery,
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
  remainingRecipients,
  reply,
  type Selection,
  type Settlement,
  type Spool,
  type TransientCode,
} from '@mailwright/core'
import {
  describe,
  earliest,
  inListingOrder,
  isClaimable,
  isClaimed,
  type Lease,
  type StoredEntry,
  type StoredMessage,
} from './memory-entry.ts'
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
  readonly #lanes = new Map<string, Set<StoredEntry>>()
  readonly #leased = new Set<StoredEntry>()
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
    const due: LaneDue[] = []
    for (const [lane, entries] of this.#lanes) {
      if (exclude?.has(lane)) continue
      const dueAt = earliest(entries)
      if (dueAt <= now) due.push({ lane, dueAt })
    }
    return due.sort((one, other) => one.dueAt - other.dueAt).slice(0, limit)
  }

  async claim({ lane, now, limit, leaseMs }: ClaimQuery): Promise<readonly Claim[]> {
    this.#assertOpen()
    this.#endLeases(now)
    return [...(this.#lanes.get(lane) ?? [])]
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

  async settle(claim: Claim, { outcomes, retryAt, counted, warned, also }: Settlement): Promise<Remainder> {
    this.#assertOpen()
    this.#claimed(claim)
    const notice = also && { message: also.message, source: await holdInMemory(also.source, { signal: NEVER }) }
    const { entry } = this.#claimed(claim)
    this.#unlease(entry)
    if (counted) entry.attempts += 1
    if (warned === true) entry.warned = true
    entry.recipients = remainingRecipients(entry.recipients, outcomes)
    entry.dueAt = retryAt
    if (entry.recipients.length === 0) this.#remove(entry)
    if (notice !== undefined && !this.#messages.has(notice.message.id)) this.#insert(notice.message, notice.source)
    return entry.message.entries.size > 0 ? 'waiting' : 'nothing'
  }

  async nextDue(exclude?: ReadonlySet<string>): Promise<number | undefined> {
    this.#assertOpen()
    let next = Number.POSITIVE_INFINITY
    for (const [lane, entries] of this.#lanes) if (!exclude?.has(lane)) next = Math.min(next, earliest(entries))
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

  async remove(selection: Selection): Promise<number> {
    return this.#change(selection, (entry) => this.#remove(entry))
  }

  async stats(): Promise<QueueStats> {
    this.#assertOpen()
    const entries = this.#all()
    const arrivals = [...this.#messages.values()].map((message) => message.about.arrivedAt)
    return {
      messages: this.#messages.size,
      entries: entries.length,
      held: entries.filter((entry) => entry.held !== undefined).length,
      claimed: entries.filter(isClaimed).length,
      bytes: this.#bytes,
      lanes: this.#lanes.size,
      oldest: arrivals.length === 0 ? undefined : arrivals.reduce((oldest, each) => Math.min(oldest, each)),
    }
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
    for (const [number, { lane, recipients, dueAt, held }] of about.entries.entries()) {
      const entry = { message, number, lane, recipients, dueAt, held, attempts: 0, warned: undefined, lease: undefined }
      message.entries.add(entry)
      const others = this.#lanes.get(lane)
      if (others === undefined) this.#lanes.set(lane, new Set([entry]))
      else others.add(entry)
    }
    this.#messages.set(about.id, message)
    this.#bytes += source.size
    return message
  }

  #remove(entry: StoredEntry): void {
    const { message, lane } = entry
    this.#unlease(entry)
    message.entries.delete(entry)
    const others = this.#lanes.get(lane)!
    others.delete(entry)
    if (others.size === 0) this.#lanes.delete(lane)
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
    return this.#all().filter((entry) =>
      isSelected(selection, { ...entry, message: entry.message.id, sender: entry.message.about.sender }),
    )
  }

  /** Changes the selected entries, and counts them. */
  #change(selection: Selection | undefined, change: (entry: StoredEntry) => void): number {
    this.#assertOpen()
    const selected = selection === undefined ? [] : this.#selected(selection)
    for (const entry of selected) change(entry)
    return selected.length
  }

  #announce(): void {
    for (const listener of this.#listeners) listener('mail')
  }

  #assertOpen(): void {
    if (!this.#open) throw new MailwrightError('ERR_MAILWRIGHT_STOPPED', 'the store is not open')
  }
}
