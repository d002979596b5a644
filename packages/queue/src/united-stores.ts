/**
 * Several stores as one: the shards that workers of one server keep, for an operator who wants to see one queue, and for
 * a worker who delivers what is left in shards that have no worker of their own any more.
 *
 * New mail goes to the first. Everything else is asked of all: listings are merged in order, changes and counts are added
 * up. A claim is settled in the store that gave it, so a message never leaves its store, and what is atomic there is
 * atomic here. A change by selection is as many changes as there are stores: when one fails, those before it are done,
 * and doing it again is safe. What it does not do: move mail between stores, or open one that appears later.
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

/** What a claim's token begins with: the number of its store. */
const SEPARATOR = '/'

/**
 * Unites stores; one store alone is given back as it is. They are opened and closed together.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` when there is none.
 * @example
 * const store = unitedStores([lmdbStore({ directory: 'spool/worker-0' }), lmdbStore({ directory: 'spool/worker-1' })])
 */
export function unitedStores(stores: readonly QueueStore[]): QueueStore {
  const [first, ...others] = stores
  if (first === undefined) throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', 'there are no stores to unite')
  return others.length === 0 ? first : new UnitedStores(first, others)
}

class UnitedStores implements QueueStore {
  readonly #first: QueueStore
  readonly #stores: readonly QueueStore[]

  constructor(first: QueueStore, others: readonly QueueStore[]) {
    this.#first = first
    this.#stores = [first, ...others]
  }

  async open(events: Events): Promise<void> {
    const opened: QueueStore[] = []
    try {
      for (const store of this.#stores) {
        await store.open(events)
        opened.push(store)
      }
    } catch (error) {
      await closeAll(opened)
      throw error
    }
  }

  async close(): Promise<void> {
    const [failure] = await closeAll(this.#stores)
    if (failure !== undefined) throw failure.reason
  }

  spool(): Spool {
    return this.#first.spool()
  }

  async put(
    message: NewMessage,
    source: MessageSource,
    claim: PutClaim | undefined,
    call: Call,
  ): Promise<readonly Claim[]> {
    const claims = await this.#first.put(message, source, claim, call)
    return claims.map((each) => marked(each, 0))
  }

  async lanes(query: LaneQuery): Promise<readonly LaneDue[]> {
    const earliest = new Map<string, LaneDue>()
    for (const due of (await this.#all((store) => store.lanes(query))).flat()) {
      const known = earliest.get(due.lane)
      if (known === undefined || due.dueAt < known.dueAt) earliest.set(due.lane, due)
    }
    return [...earliest.values()].sort((one, other) => one.dueAt - other.dueAt).slice(0, query.limit)
  }

  /** The last store first: it holds what was left behind, and gets nothing new. */
  async claim(query: ClaimQuery): Promise<readonly Claim[]> {
    const claims: Claim[] = []
    for (let number = this.#stores.length - 1; number >= 0 && claims.length < query.limit; number--) {
      try {
        const found = await this.#stores[number]!.claim({ ...query, limit: query.limit - claims.length })
        for (const claim of found) claims.push(marked(claim, number))
      } catch (error) {
        // What others gave is already ours: it is delivered first, and the failure shows when there is nothing else.
        if (claims.length === 0) throw error
        return claims
      }
    }
    return claims
  }

  async renew(claim: Claim, until: number): Promise<void> {
    const { store, own } = this.#origin(claim)
    return store.renew(own, until)
  }

  async settle(claim: Claim, settlement: Settlement): Promise<Remainder> {
    const { store, own } = this.#origin(claim)
    return store.settle(own, settlement)
  }

  async nextDue(exclude?: ReadonlySet<string>): Promise<number | undefined> {
    const times = (await this.#all((store) => store.nextDue(exclude))).filter((time) => time !== undefined)
    return times.length === 0 ? undefined : Math.min(...times)
  }

  async entries(query: EntriesQuery): Promise<readonly QueueEntry[]> {
    const found = (await this.#all((store) => store.entries(query))).flat()
    return found.sort(inListingOrder).slice(0, query.limit)
  }

  async read(message: MessageId): Promise<MessageSource | undefined> {
    for (const store of this.#stores) {
      const source = await store.read(message)
      if (source !== undefined) return source
    }
    return undefined
  }

  hold(selection: Selection, reason: string): Promise<number> {
    return this.#change((store) => store.hold(selection, reason))
  }

  release(selection: Selection, now: number): Promise<number> {
    return this.#change((store) => store.release(selection, now))
  }

  reschedule(selection: Selection, dueAt: number): Promise<number> {
    return this.#change((store) => store.reschedule(selection, dueAt))
  }

  instruct(selection: Selection, instruction: Instruction, now: number): Promise<number> {
    return this.#change((store) => store.instruct(selection, instruction, now))
  }

  remove(selection: Selection): Promise<number> {
    return this.#change((store) => store.remove(selection))
  }

  async stats(): Promise<QueueStats> {
    const [all, lanes] = await Promise.all([this.#all((store) => store.stats()), this.#shapes({ now: 0, ages: [] })])
    const total = (count: (stats: QueueStats) => number): number => all.reduce((sum, each) => sum + count(each), 0)
    const arrivals = all.flatMap(({ oldest }) => (oldest === undefined ? [] : [oldest]))
    return {
      messages: total(({ messages }) => messages),
      entries: total(({ entries }) => entries),
      held: total(({ held }) => held),
      deferred: total(({ deferred }) => deferred),
      claimed: total(({ claimed }) => claimed),
      bytes: total(({ bytes }) => bytes),
      // A lane that several stores have is one lane.
      lanes: lanes.size,
      oldest: arrivals.length === 0 ? undefined : Math.min(...arrivals),
    }
  }

  async shape({ now, ages, limit }: ShapeQuery): Promise<readonly LaneShape[]> {
    const shapes = [...(await this.#shapes({ now, ages })).values()]
    return shapes.sort((one, other) => other.entries - one.entries).slice(0, limit)
  }

  async suspend(suspension: Suspension): Promise<void> {
    for (const store of this.#stores) await store.suspend(suspension)
  }

  async resume(scope: SuspensionScope): Promise<boolean> {
    let any = false
    for (const store of this.#stores) if (await store.resume(scope)) any = true
    return any
  }

  async suspensions(): Promise<readonly Suspension[]> {
    const all = (await this.#all((store) => store.suspensions())).flat()
    const byKey = new Map(all.map((suspension) => [suspensionKey(suspension.scope), suspension]))
    return [...byKey].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, suspension]) => suspension)
  }

  refusing(): Reply<TransientCode> | null {
    return this.#first.refusing()
  }

  onArrival(listener: (by: Arrival) => void): () => void {
    const ends = this.#stores.map((store) => store.onArrival(listener))
    return () => {
      for (const end of ends) end()
    }
  }

  #all<T>(ask: (store: QueueStore) => Promise<T>): Promise<T[]> {
    return Promise.all(this.#stores.map(ask))
  }

  async #change(change: (store: QueueStore) => Promise<number>): Promise<number> {
    let changed = 0
    for (const store of this.#stores) changed += await change(store)
    return changed
  }

  /** Every lane, whatever each store has of it added up: the largest lane of all need not be the largest of any. */
  async #shapes(query: Omit<ShapeQuery, 'limit'>): Promise<Map<string, LaneShape>> {
    const united = new Map<string, LaneShape>()
    const shapes = await this.#all((store) => store.shape({ ...query, limit: Number.MAX_SAFE_INTEGER }))
    for (const { lane, entries, ages } of shapes.flat()) {
      const known = united.get(lane)
      united.set(lane, {
        lane,
        entries: entries + (known?.entries ?? 0),
        ages: ages.map((count, column) => count + (known?.ages[column] ?? 0)),
      })
    }
    return united
  }

  #origin(claim: Claim): { readonly store: QueueStore; readonly own: Claim } {
    const end = claim.token.indexOf(SEPARATOR)
    const store = this.#stores[end < 0 ? -1 : Number(claim.token.slice(0, end))]
    if (store === undefined)
      throw new MailwrightError('ERR_MAILWRIGHT_CLAIM_LOST', `the claim of ${claim.entry.message} is from elsewhere`)
    return { store, own: { ...claim, token: claim.token.slice(end + 1) } }
  }
}

function marked(claim: Claim, number: number): Claim {
  return { ...claim, token: `${number}${SEPARATOR}${claim.token}` }
}

async function closeAll(stores: readonly QueueStore[]): Promise<readonly PromiseRejectedResult[]> {
  const ends = await Promise.allSettled(stores.map((store) => store.close()))
  return ends.filter((end) => end.status === 'rejected')
}

function inListingOrder(one: QueueEntry, other: QueueEntry): number {
  if (one.message !== other.message) return one.message < other.message ? -1 : 1
  return one.entry - other.entry
}
