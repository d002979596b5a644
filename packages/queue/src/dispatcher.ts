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
  type MessageId,
  type Place,
  type QueueStore,
  type Suspension,
  type Timer,
} from '@mailwright/core'
import type { Placement } from './acceptance.ts'
import { type AttemptParts, attempt, type Reception, returnUntried } from './attempt.ts'
import type { LimitGate } from './limit-gate.ts'
import type { AppliedLimit } from './limit-rules.ts'
import type { Effect, Scheduler, SchedulerEvent } from './scheduler.ts'
import { type InForce, inForce, NONE_IN_FORCE, SetBack, suspensionOf } from './suspensions.ts'

/** How long to leave a store alone that failed to answer. */
const STORE_PAUSE_MS = 1_000
/** How long mail with a suspended label goes back to the store at a time. */
const SUSPENDED_PAUSE_MS = 300_000

export class Dispatcher {
  readonly #parts: AttemptParts
  readonly #store: QueueStore
  readonly #clock: Clock
  readonly #scheduler: Scheduler
  readonly #leaseMs: number
  readonly #call: Call
  /** What is claimed and not settled yet. The scheduler knows what of it waits for a slot. */
  readonly #active = new Set<Claim>()
  /** Of these, what may have got an instruction meanwhile, that is carried out when it is settled. */
  readonly #instructed = new Set<Claim>()
  #running = false
  #wake: { readonly at: number; readonly timer: Timer } | undefined
  #turn: { readonly at: number; readonly timer: Timer } | undefined
  #renewal: Timer | undefined
  #unsubscribe: (() => void) | undefined
  #drained: Promise<void> | undefined
  #idle: (() => void) | undefined
  /** Claims, surveys, and puts with a reservation that the store has not answered yet. */
  #asked = 0

  #suspended: InForce = NONE_IN_FORCE
  #suspensions: readonly Suspension[] = []
  readonly #setBack = new SetBack()
  #suspensionEnds: Timer | undefined
  readonly #gate: LimitGate | undefined

  /** `gateOf` makes the gate of limits, where there are any; it lets claims go by calling back. */
  constructor(
    parts: AttemptParts,
    scheduler: Scheduler,
    leaseMs: number,
    call: Call,
    gateOf?: (letGo: (claim: Claim) => void) => LimitGate,
  ) {
    this.#parts = parts
    this.#store = parts.store
    this.#clock = parts.environment.clock
    this.#scheduler = scheduler
    this.#leaseMs = leaseMs
    this.#call = call
    this.#gate = gateOf?.((claim) => this.tell({ type: 'let-go', claim, now: this.#clock.now() }))
  }

  start(): void {
    this.#running = true
    this.#unsubscribe = this.#store.onArrival((by) => this.#arrived(by))
    if (this.#suspensions.length > 0) this.suspend(this.#suspensions)
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

  /**
   * From now on the mail these suspensions mean is not tried, and all other mail is. To be called with all of them: at
   * start, and whenever one is added or ends. What is in hand goes back to the store; an attempt under way goes on.
   */
  suspend(suspensions: readonly Suspension[]): void {
    this.#suspensions = suspensions
    if (!this.#running) return
    this.#suspensionEnds?.cancel()
    this.#suspensionEnds = undefined
    const now = this.#clock.now()
    this.#suspended = inForce(suspensions, now)
    const { lanes, labels, until } = this.#suspended
    this.tell({ type: 'suspended', lanes, now })
    if (labels.length > 0) void this.recall(({ options }) => suspensionOf(options.labels, labels) !== undefined)
    const over = this.#setBack.over(labels)
    if (over.length > 0) void this.#makeDue(over)
    if (until !== undefined)
      this.#suspensionEnds = this.#clock.after(until - now, () => this.suspend(this.#suspensions))
  }

  /** What went back because of a suspension that is over need not wait for its time. */
  async #makeDue(messages: readonly MessageId[]): Promise<void> {
    this.#asked += 1
    try {
      await this.#store.reschedule({ messages, held: false }, this.#clock.now())
      this.wake()
    } catch (error) {
      // It is due by itself, in a few minutes.
      this.#parts.events.emit({ type: 'failure', where: 'resuming mail', error })
    } finally {
      this.#asked -= 1
      this.#checkIdle()
    }
  }

  /** The destination of a lane asks to be left alone until then. */
  pause(lane: string, until: number): void {
    this.tell({ type: 'paused', lane, until, now: this.#clock.now() })
  }

  /** How long ready mail has been waiting though there are slots for it, ms: more than moments means that something is stuck. */
  get liveness(): number {
    return this.#running ? this.#scheduler.waitingSince(this.#clock.now()) : 0
  }

  /** Something may have become due by other hands. */
  wake(): void {
    this.tell({ type: 'woken', now: this.#clock.now() })
  }

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
      this.tell({ type: 'placed', claim, now })
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

  /** Keeps a claim, and its lease, until it is settled. */
  #take(claim: Claim): void {
    this.#active.add(claim)
    this.#renewal ??= this.#clock.after(this.#leaseMs / 3, () => this.#renewLeases())
  }

  /**
   * Returns mail in hand to the store, where somebody has changed it: attempts begin with what the store then gives.
   * What has a slot already is tried as it is.
   */
  async recall(isMeant: (claim: Claim) => boolean): Promise<void> {
    const returned: Promise<void>[] = []
    for (const [lane, waiting] of this.#scheduler.inHand()) {
      const back = new Set(waiting.filter(isMeant))
      if (back.size === 0) continue
      // Recalling gives no slot back, so nothing begins meanwhile.
      this.tell({ type: 'recalled', lane, claims: back, now: this.#clock.now() })
      returned.push(this.#return(lane, back))
    }
    for (const claim of this.#gate?.recall(isMeant) ?? []) returned.push(this.#return(claimLane(claim.entry), [claim]))
    await Promise.all(returned)
  }

  async #return(lane: string, claims: Iterable<Claim>): Promise<void> {
    await Promise.all([...claims].map((claim) => returnUntried(this.#parts, claim)))
    for (const claim of claims) {
      this.#active.delete(claim)
      this.#instructed.delete(claim)
      this.#gate?.forget(claim)
    }
    this.tell({ type: 'stored', lane, now: this.#clock.now() })
    this.#checkIdle()
  }

  /** A claim has a slot. Where neither limits nor suspensions of labels know it, its attempt begins. */
  #begin(claim: Claim): void {
    // What an operator wants done instead of an attempt is done whatever the limits.
    if (claim.entry.instruction !== undefined) {
      this.#try(claim)
      return
    }
    if (this.#suspended.labels.length > 0) {
      const suspension = suspensionOf(claim.options.labels, this.#suspended.labels)
      if (suspension !== undefined) {
        this.#setBack.add(suspension, claim.entry.message)
        const later = this.#clock.now() + SUSPENDED_PAUSE_MS
        return void this.#keepBack(claim, Math.min(suspension.until ?? later, later))
      }
    }
    const limits = this.#gate?.limitsOf(claim)
    if (limits === undefined || limits.length === 0) this.#try(claim)
    else void this.#passGate(claim, limits)
  }

  async #passGate(claim: Claim, limits: readonly AppliedLimit[]): Promise<void> {
    const admission = await this.#gate!.admit(claim, limits)
    if (admission.kind === 'go') this.#try(claim, admission.places)
    else if (admission.kind === 'back') await this.#keepBack(claim, admission.retryAt)
    else this.tell({ type: 'kept-back', lane: claimLane(claim.entry), now: this.#clock.now() })
  }

  /** Back to the store until `retryAt`, uncounted, and its slot to others. */
  async #keepBack(claim: Claim, retryAt: number): Promise<void> {
    this.#gate?.forget(claim)
    const stored = returnUntried(this.#parts, claim, retryAt)
    this.tell({ type: 'kept-back', lane: claimLane(claim.entry), now: this.#clock.now() })
    await stored
    this.#active.delete(claim)
    if (this.#instructed.delete(claim)) this.wake()
    this.#wakeAt(retryAt)
    this.#checkIdle()
  }

  /**
   * Starts an attempt in a slot it has already. The slot is the destination's: it is free as soon as that has answered,
   * while the settlement waits for its commit.
   */
  #try(claim: Claim, places?: readonly Place[]): void {
    const lane = claimLane(claim.entry)
    const received = (result: Reception, pausedUntil: number | undefined): void => {
      if (places !== undefined && places.length > 0) void this.#gate!.leave(places)
      if (pausedUntil !== undefined) this.pause(lane, pausedUntil)
      this.tell({ type: 'finished', lane, result, now: this.#clock.now() })
    }
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
    if (effect.type === 'begin') this.#begin(effect.claim)
    else if (effect.type === 'claim') void this.#claim(effect.lane, effect.limit)
    else if (effect.type === 'hand-back') void this.#return(effect.lane, effect.claims)
    else if (effect.type === 'survey') void this.#survey(effect.exclude, effect.limit)
    else if (effect.type === 'wake') this.#wakeAt(effect.at)
    else if (effect.type === 'turn') this.#turnAt(effect.at)
    else if (effect.type === 'dead')
      events.emit({ type: 'lane.state', lane: effect.lane, state: 'dead', until: effect.until })
    else events.emit({ type: 'lane.state', lane: effect.lane, state: 'alive' })
  }

  async #claim(lane: string, limit: number): Promise<void> {
    this.#asked += 1
    try {
      const claims = await this.#store.claim({ lane, now: this.#clock.now(), limit, leaseMs: this.#leaseMs })
      for (const claim of claims) this.#take(claim)
      this.tell({ type: 'claimed', lane, asked: limit, claims, now: this.#clock.now() })
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

  #turnAt(at: number): void {
    if (!this.#running || (this.#turn !== undefined && this.#turn.at <= at)) return
    this.#turn?.timer.cancel()
    const timer = this.#clock.after(Math.max(at - this.#clock.now(), 0), () => {
      this.#turn = undefined
      this.tell({ type: 'turn', now: this.#clock.now() })
    })
    this.#turn = { at, timer }
  }

  #renewLeases(): void {
    this.#renewal = undefined
    this.#gate?.renew()
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
    this.#turn?.timer.cancel()
    this.#turn = undefined
    this.#suspensionEnds?.cancel()
    this.#suspensionEnds = undefined
    this.tell({ type: 'draining', now: this.#clock.now() })
    for (const claim of this.#gate?.close() ?? []) void this.#return(claim.entry.lane, [claim])
    if (this.#active.size > 0 || this.#asked > 0) await new Promise<void>((resolve) => (this.#idle = resolve))
    this.#renewal?.cancel()
    this.#renewal = undefined
  }

  #checkIdle(): void {
    if (!this.#running && this.#active.size === 0 && this.#asked === 0) this.#idle?.()
  }
}
