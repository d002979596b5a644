/**
 * What an operator does with a live queue. Each change is durable when it resolves, also for mail that waits in hand
 * for a slot: that goes back to the store and comes out again as it is now. An attempt under way is never cut short.
 *
 * Entries change in pages, inside the store or here: memory does not grow with the queue, and mail goes on meanwhile.
 * What came half way through may or may not be meant.
 */
import {
  type Clock,
  type EntriesQuery,
  type Instruction,
  isSelected,
  type Lane,
  type LaneShape,
  laneKey,
  MailwrightError,
  type MessageId,
  type MessageSource,
  type QueueEntry,
  type QueueStats,
  type QueueStore,
  type Selection,
  type ShapeQuery,
  type Suspension,
  type SuspensionScope,
} from '@mailwright/core'
import type { Dispatcher } from './dispatcher.ts'
import { ERROR_TRANSPORT } from './error-lane.ts'
import type { SuspensionWatch } from './suspension-watch.ts'

/** The part of the queue's handle that is for operators. An empty selection means everything. */
export interface QueueOperations {
  /** A page of entries, in order of message; `after` goes on. */
  entries(query: EntriesQuery): Promise<readonly QueueEntry[]>
  read(message: MessageId): Promise<MessageSource | undefined>
  /**
   * Makes waiting entries due now and starts on them, also where a destination is being left alone as dead: that of
   * `selection.lane`, or without it every one. Resolves with how many.
   */
  flush(selection: Selection): Promise<number>
  /** Keeps entries from delivery. Resolves with how many. */
  hold(selection: Selection, reason: string): Promise<number>
  release(selection: Selection): Promise<number>
  /**
   * Has the router say again where their recipients go. While it cannot, they wait. Resolves with how many are to go.
   *
   * @example
   * await queue.requeue({ lane: 'smtp:[old-relay.example.net]:25' })
   */
  requeue(selection: Selection): Promise<number>
  /**
   * Has entries go on in another lane, all in one or each where the function says; undefined leaves an entry where it
   * is. Rejects with `ERR_MAILWRIGHT_CONFIG` when the queue has no such transport.
   *
   * @example
   * await queue.reroute({ recipient: '@example.com' }, { transport: 'smtp', destination: '[backup.example.net]:25' })
   */
  reroute(selection: Selection, to: Lane | ((entry: QueueEntry) => Lane | undefined)): Promise<number>
  /** Returns entries to their senders now, as if their time were over. Resolves with how many. */
  expire(selection: Selection): Promise<number>
  /** Removes entries and tells nobody. What an attempt under way comes to is then not recorded. Resolves with how many. */
  remove(selection: Selection): Promise<number>
  /** Keeps mail from being tried, also mail still to come, until `until` (ms since the epoch) or `resume`. */
  suspend(
    scope: SuspensionScope,
    about: { readonly reason: string; readonly until?: number | undefined },
  ): Promise<void>
  /** Resolves with whether it was suspended. */
  resume(scope: SuspensionScope): Promise<boolean>
  /** What is suspended now. */
  suspensions(): Promise<readonly Suspension[]>
  stats(): Promise<QueueStats>
  /** How old the mail of the fullest lanes is. Default the ages of `qshape`, and 100 lanes. */
  shape(query?: Partial<Omit<ShapeQuery, 'now'>>): Promise<readonly LaneShape[]>
}

/** The columns of `qshape`: 5 minutes, and doubling to 1280. */
export const QSHAPE_AGES: readonly number[] = [5, 10, 20, 40, 80, 160, 320, 640, 1_280].map((each) => each * 60_000)
/** How many entries a function is asked about at a time. */
const PAGE = 200

export interface OperatorParts {
  readonly store: QueueStore
  readonly clock: Clock
  readonly dispatcher: Dispatcher
  readonly watch: SuspensionWatch
  /** Names of transports. */
  readonly transports: { has(name: string): boolean }
}

/** The operations of one queue. */
export class Operator implements QueueOperations {
  readonly #store: QueueStore
  readonly #clock: Clock
  readonly #dispatcher: Dispatcher
  readonly #watch: SuspensionWatch
  readonly #transports: OperatorParts['transports']

  constructor({ store, clock, dispatcher, watch, transports }: OperatorParts) {
    this.#store = store
    this.#clock = clock
    this.#dispatcher = dispatcher
    this.#watch = watch
    this.#transports = transports
  }

  entries(query: EntriesQuery): Promise<readonly QueueEntry[]> {
    return this.#store.entries(query)
  }

  read(message: MessageId): Promise<MessageSource | undefined> {
    return this.#store.read(message)
  }

  async flush(selection: Selection): Promise<number> {
    const now = this.#clock.now()
    const count = await this.#store.reschedule(selection, now)
    if (count > 0) this.#dispatcher.tell({ type: 'flushed', lane: selection.lane, now })
    return count
  }

  hold(selection: Selection, reason: string): Promise<number> {
    return this.#recalling(selection, this.#store.hold(selection, reason))
  }

  async release(selection: Selection): Promise<number> {
    const count = await this.#store.release(selection, this.#clock.now())
    if (count > 0) this.#dispatcher.wake()
    return count
  }

  requeue(selection: Selection): Promise<number> {
    return this.#instruct(selection, { kind: 'requeue' })
  }

  async reroute(selection: Selection, to: Lane | ((entry: QueueEntry) => Lane | undefined)): Promise<number> {
    if (typeof to !== 'function') return this.#instruct(selection, { kind: 'reroute', lane: this.#known(to) })
    let count = 0
    for await (const page of this.#pages(selection)) {
      const groups = Map.groupBy(page, (entry) => {
        const lane = to(entry)
        return lane && this.#known(lane)
      })
      for (const [lane, entries] of groups)
        if (lane !== undefined) count += await this.#instruct(exactly(entries), { kind: 'reroute', lane })
    }
    return count
  }

  expire(selection: Selection): Promise<number> {
    return this.#instruct(selection, { kind: 'expire' })
  }

  remove(selection: Selection): Promise<number> {
    return this.#recalling(selection, this.#store.remove(selection))
  }

  async suspend(
    scope: SuspensionScope,
    { reason, until }: { readonly reason: string; readonly until?: number | undefined },
  ): Promise<void> {
    await this.#store.suspend({ scope, reason, since: this.#clock.now(), ...(until === undefined ? {} : { until }) })
    await this.#watch.refresh()
  }

  async resume(scope: SuspensionScope): Promise<boolean> {
    const ended = await this.#store.resume(scope)
    await this.#watch.refresh()
    return ended
  }

  async suspensions(): Promise<readonly Suspension[]> {
    const now = this.#clock.now()
    return (await this.#store.suspensions()).filter(({ until = Number.POSITIVE_INFINITY }) => until > now)
  }

  stats(): Promise<QueueStats> {
    return this.#store.stats()
  }

  shape({ ages = QSHAPE_AGES, limit = 100 }: Partial<Omit<ShapeQuery, 'now'>> = {}): Promise<readonly LaneShape[]> {
    return this.#store.shape({ now: this.#clock.now(), ages, limit })
  }

  async #instruct(selection: Selection, instruction: Instruction): Promise<number> {
    const now = this.#clock.now()
    const count = await this.#recalling(selection, this.#store.instruct(selection, instruction, now))
    if (count > 0) this.#dispatcher.instructed()
    return count
  }

  /** After a change, or half of one: what of it waits here for a slot is not tried as it was. */
  async #recalling(selection: Selection, change: Promise<number>): Promise<number> {
    let changed: number | undefined
    try {
      changed = await change
      return changed
    } finally {
      // Where it stands has changed, and it was claimed all the time.
      const meant: Selection = { ...selection, held: undefined, status: undefined }
      if (changed !== 0) await this.#dispatcher.recall(({ entry }) => isSelected(meant, entry))
    }
  }

  async *#pages(selection: Selection): AsyncGenerator<readonly QueueEntry[]> {
    let after: EntriesQuery['after']
    for (;;) {
      const page = await this.#store.entries({ selection, limit: PAGE, after })
      yield page
      const last = page.at(-1)
      if (last === undefined || page.length < PAGE) return
      after = { message: last.message, entry: last.entry }
    }
  }

  #known(lane: Lane): string {
    if (lane.transport !== ERROR_TRANSPORT && this.#transports.has(lane.transport)) return laneKey(lane)
    throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `the queue has no transport ${JSON.stringify(lane.transport)}`)
  }
}

/** These entries and no others of their messages. */
function exactly(entries: readonly QueueEntry[]): Selection {
  return {
    messages: [...new Set(entries.map((entry) => entry.message))],
    entries: entries.map(({ message, entry }) => ({ message, entry })),
  }
}
