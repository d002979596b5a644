/**
 * Carries out what the scheduler decides: claims from the store, runs attempts, and tells the scheduler how they ended.
 * One timer waits for the next due time; leases of long attempts are renewed by another.
 */
import {
  type Arrival,
  type Call,
  type Claim,
  type Clock,
  claimLane,
  hasCode,
  type QueueStore,
  type Suspension,
  type Timer,
} from '@mailwright/core'
import type { Placement } from './acceptance.ts'
import { type AttemptParts, attempt, type Reception, returnUntried } from './attempt.ts'
import type { Effect, Scheduler, SchedulerEvent } from './scheduler.ts'

/** How long to leave a store alone that failed to answer. */
const STORE_PAUSE_MS = 1_000

export class Dispatcher {
  readonly #parts: AttemptParts
  readonly #store: QueueStore
  readonly #clock: Clock
  readonly #scheduler: Scheduler
  readonly #leaseMs: number
  readonly #call: Call
  /** What is claimed and not settled yet. */
  readonly #active = new Set<Claim>()
  /** Of these, by lane, what waits for a slot. */
  readonly #inHand = new Map<string, Claim[]>()
  /** Of these, what may have got an instruction meanwhile, that is carried out when it is settled. */
  readonly #instructed = new Set<Claim>()
  #running = false
  #wake: { readonly at: number; readonly timer: Timer } | undefined
  #renewal: Timer | undefined
  #unsubscribe: (() => void) | undefined
  #drained: Promise<void> | undefined
  #idle: (() => void) | undefined
  /** Claims, surveys, and puts with a reservation that the store has not answered yet. */
  #asked = 0

  constructor(parts: AttemptParts, scheduler: Scheduler, leaseMs: number, call: Call) {
    this.#parts = parts
    this.#store = parts.store
    this.#clock = parts.environment.clock
    this.#scheduler = scheduler
    this.#leaseMs = leaseMs
    this.#call = call
  }

  start(): void {
    this.#running = true
    this.#unsubscribe = this.#store.onArrival((by) => this.#arrived(by))
    this.wake()
  }

  /** An operator wants mail tried now, also where the destination was given up for a while. */
  #arrived(by: Arrival): void {
    if (by !== 'operator') {
      this.wake()
      return
    }
    // Or has held, moved or removed mail that we have in hand: what it is now, the store will tell.
    void this.recall(() => true)
    this.instructed()
    this.tell({ type: 'flushed', now: this.#clock.now() })
  }

  /** Mail may have got instructions, also mail that is being tried. */
  instructed(): void {
    for (const claim of this.#active) this.#instructed.add(claim)
    this.wake()
  }

  /** Something may have become due by other hands. */
  wake(): void {
    this.tell({ type: 'woken', now: this.#clock.now() })
  }

  /** What is not to be tried until further notice: all there is of it. */
  suspend(_suspensions: readonly Suspension[]): void {}

  /** Whether mail about to be stored may be claimed with its put; never while draining. */
  reserve(lane: string): boolean {
    if (!this.#running) return false
    const effects = this.#scheduler.step({ type: 'offered', lane, now: this.#clock.now() })
    if (effects.length === 0) return false
    this.#asked += 1
    return true
  }

  /** What became of a reservation. To be called once for each put, also when it failed. */
  place({ reserved, claims, waiting, dueAt }: Placement): void {
    const now = this.#clock.now()
    for (const claim of claims) {
      this.#take(claim)
      this.tell({ type: 'placed', lane: claim.entry.lane, now })
    }
    if (claims.length < reserved.size) {
      const begun = new Set(claims.map((claim) => claim.entry.lane))
      for (const lane of reserved) {
        if (begun.has(lane)) continue
        this.tell({ type: 'withdrawn', lane, now })
        // Stored all the same, perhaps: the store had its reasons not to claim it.
        this.tell({ type: 'stored', lane, now })
      }
    }
    for (const lane of waiting) this.tell({ type: 'stored', lane, now })
    if (dueAt !== undefined) this.#wakeAt(Math.min(dueAt, now + this.#leaseMs))
    this.#asked -= reserved.size
    this.#checkIdle()
  }

  /** Keeps a claim until there is a slot for it. */
  #take(claim: Claim): void {
    this.#active.add(claim)
    this.#renewal ??= this.#clock.after(this.#leaseMs / 3, () => this.#renewLeases())
    const lane = claimLane(claim.entry)
    const waiting = this.#inHand.get(lane)
    if (waiting === undefined) this.#inHand.set(lane, [claim])
    else waiting.push(claim)
  }

  #beginNext(lane: string, count: number): void {
    const waiting = this.#inHand.get(lane)!
    const next = waiting.splice(0, count)
    if (waiting.length === 0) this.#inHand.delete(lane)
    for (const claim of next) this.#begin(claim)
  }

  /** Returns all that is in hand for a lane to the store. */
  #handBack(lane: string): Promise<void> {
    const waiting = this.#inHand.get(lane)!
    this.#inHand.delete(lane)
    return this.#return(lane, waiting)
  }

  /**
   * Returns mail in hand to the store, where somebody has changed it: attempts begin with what the store then gives.
   * What has a slot already is tried as it is.
   */
  async recall(isMeant: (claim: Claim) => boolean): Promise<void> {
    const returned: Promise<void>[] = []
    // Recalling gives no slot back, so nothing begins meanwhile.
    for (const [lane, waiting] of [...this.#inHand]) {
      const back = waiting.filter(isMeant)
      if (back.length === 0) continue
      if (back.length === waiting.length) this.#inHand.delete(lane)
      else
        this.#inHand.set(
          lane,
          waiting.filter((claim) => !back.includes(claim)),
        )
      this.tell({ type: 'recalled', lane, count: back.length, now: this.#clock.now() })
      returned.push(this.#return(lane, back))
    }
    await Promise.all(returned)
  }

  async #return(lane: string, claims: readonly Claim[]): Promise<void> {
    await Promise.all(claims.map((claim) => returnUntried(this.#parts, claim)))
    for (const claim of claims) {
      this.#active.delete(claim)
      this.#instructed.delete(claim)
    }
    this.tell({ type: 'stored', lane, now: this.#clock.now() })
    this.#checkIdle()
  }

  /**
   * Starts an attempt in a slot it has already. The slot is the destination's: it is free as soon as that has answered,
   * while the settlement waits for its commit.
   */
  #begin(claim: Claim): void {
    const lane = claimLane(claim.entry)
    const received = (result: Reception): void => this.tell({ type: 'finished', lane, result, now: this.#clock.now() })
    void attempt(this.#parts, claim, this.#call, received).then(({ retryAt, noticeLanes }) => {
      this.#active.delete(claim)
      const now = this.#clock.now()
      this.tell({ type: 'settled', lane, retryAt, now })
      if (this.#instructed.delete(claim)) this.wake()
      for (const notice of noticeLanes) this.tell({ type: 'stored', lane: notice, now })
      this.#checkIdle()
    })
  }

  /** Tells the scheduler, and does what it answers. */
  tell(event: Exclude<SchedulerEvent, { type: 'offered' }>): void {
    // Only an offer is answered with a grant, and that is made in `reserve`.
    for (const effect of this.#scheduler.step(event)) this.#carryOut(effect as Exclude<Effect, { type: 'grant' }>)
  }

  #carryOut(effect: Exclude<Effect, { type: 'grant' }>): void {
    const { events } = this.#parts
    if (effect.type === 'begin') this.#beginNext(effect.lane, effect.count)
    else if (effect.type === 'claim') void this.#claim(effect.lane, effect.limit)
    else if (effect.type === 'hand-back') void this.#handBack(effect.lane)
    else if (effect.type === 'survey') void this.#survey(effect.exclude, effect.limit)
    else if (effect.type === 'wake') this.#wakeAt(effect.at)
    else if (effect.type === 'dead')
      events.emit({ type: 'lane.state', lane: effect.lane, state: 'dead', until: effect.until })
    else events.emit({ type: 'lane.state', lane: effect.lane, state: 'alive' })
  }

  async #claim(lane: string, limit: number): Promise<void> {
    this.#asked += 1
    try {
      const claims = await this.#store.claim({ lane, now: this.#clock.now(), limit, leaseMs: this.#leaseMs })
      for (const claim of claims) this.#take(claim)
      this.tell({ type: 'claimed', lane, asked: limit, got: claims.length, now: this.#clock.now() })
    } catch (error) {
      this.#stalled('claiming', error, lane, limit)
    } finally {
      this.#asked -= 1
      this.#checkIdle()
    }
  }

  async #survey(exclude: ReadonlySet<string>, limit: number): Promise<void> {
    this.#asked += 1
    try {
      const now = this.#clock.now()
      const lanes = await this.#store.lanes({ now, limit, exclude })
      const known = lanes.length === 0 ? exclude : new Set([...exclude, ...lanes.map((each) => each.lane)])
      const next = await this.#store.nextDue(known)
      // Claims of a worker that died are nobody's mail until their leases end: look again by then.
      const nextDue = Math.min(next ?? Number.POSITIVE_INFINITY, now + this.#leaseMs)
      this.tell({ type: 'surveyed', lanes, nextDue, now })
    } catch (error) {
      this.#stalled('surveying', error, undefined, 0)
    } finally {
      this.#asked -= 1
      this.#checkIdle()
    }
  }

  #stalled(what: string, error: unknown, lane: string | undefined, asked: number): void {
    this.#parts.events.emit({ type: 'failure', where: `${what} the queue`, error })
    const now = this.#clock.now()
    this.tell({ type: 'stalled', ...(lane === undefined ? {} : { lane }), asked, retryAt: now + STORE_PAUSE_MS, now })
  }

  #wakeAt(at: number): void {
    if (!this.#running || (this.#wake !== undefined && this.#wake.at <= at)) return
    this.#wake?.timer.cancel()
    const timer = this.#clock.after(Math.max(at - this.#clock.now(), 0), () => {
      this.#wake = undefined
      this.wake()
    })
    this.#wake = { at, timer }
  }

  #renewLeases(): void {
    this.#renewal = undefined
    const now = this.#clock.now()
    for (const claim of this.#active) {
      this.#store.renew(claim, now + this.#leaseMs).catch((error: unknown) => {
        // A lost claim is settled by nobody here; its attempt finds out when it settles, and none is begun.
        if (hasCode(error, 'ERR_MAILWRIGHT_CLAIM_LOST')) return this.recall((each) => each === claim)
        this.#parts.events.emit({ type: 'failure', where: 'renewing a lease', error })
        return undefined
      })
    }
    if (this.#active.size > 0) this.#renewal = this.#clock.after(this.#leaseMs / 3, () => this.#renewLeases())
  }

  /** Begins nothing new and resolves when nothing is under way. May be called again. */
  drain(): Promise<void> {
    this.#drained ??= this.#comeToRest()
    return this.#drained
  }

  async #comeToRest(): Promise<void> {
    this.#running = false
    this.#unsubscribe?.()
    this.#wake?.timer.cancel()
    this.#wake = undefined
    this.tell({ type: 'draining', now: this.#clock.now() })
    if (this.#active.size > 0 || this.#asked > 0) await new Promise<void>((resolve) => (this.#idle = resolve))
    this.#renewal?.cancel()
    this.#renewal = undefined
  }

  #checkIdle(): void {
    if (!this.#running && this.#active.size === 0 && this.#asked === 0) this.#idle?.()
  }
}
