/**
 * Keeps what is suspended in step with the store: reads it at start and whenever an operator was there, has the
 * dispatcher follow, tells of changes, and ends a suspension when its time is over.
 *
 * The store is the truth, whoever wrote there. When it cannot be read, what was known stays in force, at start everything
 * is suspended, and it is read again a second later: mail is rather late than sent against an operator's word.
 */
import { type Clock, type Events, type QueueStore, type Suspension, suspensionKey, type Timer } from '@mailwright/core'

/** How long to leave a store alone that failed to answer. */
const STORE_PAUSE_MS = 1_000

export interface SuspensionWatchParts {
  readonly store: QueueStore
  readonly clock: Clock
  readonly events: Events
  /** Has it followed: everything that is suspended now. */
  readonly apply: (suspensions: readonly Suspension[]) => void
}

export class SuspensionWatch {
  readonly #parts: SuspensionWatchParts
  #known: ReadonlyMap<string, Suspension> = new Map()
  /** Whether it has been read, or everything stands still until it has. */
  #state: 'unread' | 'blind' | 'read' = 'unread'
  /** Readings take turns, so that the last one is the one that stays. */
  #reading: Promise<void> = Promise.resolve()
  #timer: Timer | undefined
  #unsubscribe: (() => void) | undefined

  constructor(parts: SuspensionWatchParts) {
    this.#parts = parts
  }

  /** Resolves when what may be tried has been said. Never rejects. */
  async start(): Promise<void> {
    const { store, clock, apply } = this.#parts
    this.#unsubscribe = store.onArrival((by) => {
      if (by === 'operator') void this.refresh()
    })
    await this.refresh()
    if (this.#state === 'read') return
    this.#state = 'blind'
    apply([{ scope: { kind: 'everything' }, reason: 'what is suspended is not known yet', since: clock.now() }])
  }

  /** Resolves when what is in the store now is in force. Never rejects. */
  refresh(): Promise<void> {
    this.#reading = this.#reading.then(() => this.#tryToRead())
    return this.#reading
  }

  async #tryToRead(): Promise<void> {
    if (this.#unsubscribe === undefined) return
    try {
      await this.#read()
    } catch (error) {
      const { clock, events } = this.#parts
      events.emit({ type: 'failure', where: 'reading suspensions of the queue', error })
      this.#readAgainAt(clock.now() + STORE_PAUSE_MS)
    }
  }

  async #read(): Promise<void> {
    const { store, clock, events, apply } = this.#parts
    const known = new Map<string, Suspension>()
    let next = Number.POSITIVE_INFINITY
    for (const each of await store.suspensions()) {
      const { scope, until = Number.POSITIVE_INFINITY } = each
      if (until <= clock.now()) await store.resume(scope)
      else known.set(suspensionKey(scope), each)
      if (until > clock.now()) next = Math.min(next, until)
    }
    const before = this.#known
    const wasBlind = this.#state === 'blind'
    this.#known = known
    this.#state = 'read'
    const begun = [...known].filter(([key, each]) => !isSame(each, before.get(key)))
    const ended = [...before].filter(([key]) => !known.has(key))
    if (wasBlind || begun.length > 0 || ended.length > 0) apply([...known.values()])
    for (const [, suspension] of begun) events.emit({ type: 'queue.suspended', suspension })
    for (const [, { scope }] of ended) events.emit({ type: 'queue.resumed', scope })
    this.#readAgainAt(next)
  }

  #readAgainAt(at: number): void {
    this.#timer?.cancel()
    this.#timer = undefined
    if (at === Number.POSITIVE_INFINITY) return
    const { clock } = this.#parts
    this.#timer = clock.after(Math.max(at - clock.now(), 0), () => void this.refresh())
  }

  /** Follows nothing any more; resolves when the store is left alone. */
  async stop(): Promise<void> {
    this.#unsubscribe?.()
    this.#unsubscribe = undefined
    await this.#reading
    this.#timer?.cancel()
    this.#timer = undefined
  }
}

function isSame(one: Suspension, other: Suspension | undefined): boolean {
  return one.reason === other?.reason && one.since === other.since && one.until === other.until
}
