/**
 * The gate between a slot and an attempt: limits by label, tenant, campaign or whatever the host counts. Who has to wait
 * gives the slot back and waits here, in hand, while there is room; the others go back to the store until their time,
 * uncounted.
 *
 * A moment of a rate is taken only by mail that waits for it here, so none is wasted: how much later the rest may go is
 * reckoned without asking. Limits that cannot be asked let nothing through: mail waits half a minute, uncounted.
 */
import type { Claim, Clock, Events, Limits, Place, Rate, Timer } from '@mailwright/core'
import type { AppliedLimit, LimitsOf } from './limit-rules.ts'

export interface LimitGateParts {
  readonly limits: Limits
  readonly limitsOf: LimitsOf
  readonly clock: Clock
  readonly events: Events
  readonly leaseMs: number
  /** The time of a claim that was kept has come: it wants a slot, and then through the gate again. */
  readonly letGo: (claim: Claim) => void
}

/** What becomes of a claim that has a slot. */
export type Admission =
  /** It may go; the places are to be left when it is done. */
  | { readonly kind: 'go'; readonly places: readonly Place[] }
  /** It is kept here, and let go later. */
  | { readonly kind: 'kept' }
  | { readonly kind: 'back'; readonly retryAt: number }

/** What is known of a rate here. */
interface Pace {
  /** The last moment taken, ms since the epoch. */
  takenUntil: number
  /** Until when those sent back have been spread. */
  spreadUntil: number
  /** Claims kept here for a moment of it. */
  kept: number
}

interface Kept {
  readonly timer: Timer
  /** What it waits for: its moments, or a place. */
  readonly paces: readonly Pace[]
  readonly placeOf: string | undefined
}

/** Most claims that wait here. */
const MOST_KEPT = 200
/** How far ahead moments are taken while others of the same rate wait here already. */
const HORIZON_MS = 10_000
/** How long to wait for a place that somebody else may leave; and when there is no room to wait here. */
const PLACE_PAUSE_MS = 1_000
const NO_ROOM_PAUSE_MS = 5_000
const TROUBLE_PAUSE_MS = 30_000
const FIRST_SWEEP = 1_000

const GO: Admission = { kind: 'go', places: [] }
const KEPT: Admission = { kind: 'kept' }

export class LimitGate {
  readonly #parts: LimitGateParts
  readonly #kept = new Map<Claim, Kept>()
  /** Claims that have waited for their moment and may go as soon as they have their places. */
  readonly #paced = new Set<Claim>()
  /** Claims let go for a place, by its key: nobody else is to take it before they come. */
  readonly #called = new Map<Claim, string>()
  readonly #paces = new Map<string, Pace>()
  /** Places of attempts under way. */
  readonly #places = new Set<Place>()
  #sweepAt = FIRST_SWEEP
  #closed = false

  constructor(parts: LimitGateParts) {
    this.#parts = parts
  }

  /** The limits that hold for a claim; most mail has none. */
  limitsOf(claim: Claim): readonly AppliedLimit[] {
    return this.#parts.limitsOf(claim)
  }

  /** Never rejects. */
  async admit(claim: Claim, limits: readonly AppliedLimit[]): Promise<Admission> {
    const { clock, events } = this.#parts
    try {
      if (!this.#paced.has(claim)) {
        const kept = await this.#takeMoments(claim, limits)
        if (kept !== undefined) return kept
      }
      const entered = this.#keyOfQueue(claim, limits) ?? (await this.#enter(limits))
      this.#called.delete(claim)
      if (typeof entered === 'string') return this.#keepForPlace(claim, entered)
      this.#paced.delete(claim)
      return entered.length === 0 ? GO : { kind: 'go', places: entered }
    } catch (error) {
      this.forget(claim)
      events.emit({ type: 'failure', where: `the limits of ${claim.entry.message}`, error })
      return { kind: 'back', retryAt: clock.now() + TROUBLE_PAUSE_MS }
    }
  }

  /** An attempt is done with its places. */
  async leave(places: readonly Place[]): Promise<void> {
    for (const place of places) {
      this.#places.delete(place)
      try {
        await this.#parts.limits.leave(place)
      } catch (error) {
        // It is free when its lease ends.
        this.#parts.events.emit({ type: 'failure', where: 'leaving a place', error })
      }
      this.#letNextGo(place.key)
    }
  }

  /** Keeps the places of attempts under way. A place that was lost is nobody's harm now: the attempt goes on. */
  renew(): void {
    const { limits, leaseMs, clock, events } = this.#parts
    for (const place of this.#places) {
      Promise.resolve(limits.renew(place, leaseMs, clock.now())).catch((error: unknown) =>
        events.emit({ type: 'failure', where: 'renewing a place', error }),
      )
    }
  }

  /** Takes claims out that wait here, where somebody has changed their mail. Their moments are gone. */
  recall(isMeant: (claim: Claim) => boolean): readonly Claim[] {
    const recalled = [...this.#kept.keys()].filter(isMeant)
    for (const claim of recalled) {
      this.#release(claim)
      this.forget(claim)
    }
    return recalled
  }

  /** A claim went back to the store: what it has waited for is gone. */
  forget(claim: Claim): void {
    this.#paced.delete(claim)
    this.#called.delete(claim)
  }

  /** From now on nothing waits here. Answers with what does. */
  close(): readonly Claim[] {
    this.#closed = true
    return this.recall(() => true)
  }

  /** Undefined: its moment is now. */
  async #takeMoments(claim: Claim, limits: readonly AppliedLimit[]): Promise<Admission | undefined> {
    const now = this.#parts.clock.now()
    const paces: Pace[] = []
    let back = 0
    for (const { key, rate } of limits) {
      if (rate === undefined) continue
      const pace = this.#paceOf(key, now)
      paces.push(pace)
      if (!this.#mayAsk(pace, rate, now)) back = Math.max(back, this.#spread(pace, rate, now))
    }
    if (back > 0) return { kind: 'back', retryAt: back }
    let moment = now
    let index = 0
    for (const { key, rate } of limits) {
      if (rate === undefined) continue
      const pace = paces[index++]!
      pace.kept += 1
      try {
        pace.takenUntil = await this.#parts.limits.pace(key, rate, now)
      } finally {
        pace.kept -= 1
      }
      moment = Math.max(moment, pace.takenUntil)
    }
    this.#paced.add(claim)
    const wait = moment - this.#parts.clock.now()
    return wait <= 0 ? undefined : this.#keep(claim, wait, paces, undefined)
  }

  /** Whether the next moment of a rate is near enough to wait for it here; the first who waits may wait long. */
  #mayAsk(pace: Pace, { count, perMs }: Rate, now: number): boolean {
    if (this.#kept.size >= MOST_KEPT) return pace.takenUntil + perMs / count <= now
    return pace.kept === 0 || pace.takenUntil + perMs / count <= now + HORIZON_MS
  }

  /** When the next of those that were not asked about may come again. */
  #spread(pace: Pace, { count, perMs }: Rate, now: number): number {
    pace.spreadUntil = Math.max(pace.spreadUntil, pace.takenUntil, now) + perMs / count
    return Math.ceil(pace.spreadUntil)
  }

  #paceOf(key: string, now: number): Pace {
    let pace = this.#paces.get(key)
    if (pace === undefined) {
      if (this.#paces.size >= this.#sweepAt) this.#sweep(now)
      pace = { takenUntil: 0, spreadUntil: 0, kept: 0 }
      this.#paces.set(key, pace)
    }
    return pace
  }

  /** What is idle is forgotten. */
  #sweep(now: number): void {
    for (const [key, { takenUntil, spreadUntil, kept }] of this.#paces)
      if (kept === 0 && takenUntil <= now && spreadUntil <= now) this.#paces.delete(key)
    this.#sweepAt = Math.max(FIRST_SWEEP, this.#paces.size * 2)
  }

  /** A place under each limit of concurrency, or the key of one that has none: then none is taken. */
  async #enter(limits: readonly AppliedLimit[]): Promise<readonly Place[] | string> {
    const { clock, leaseMs } = this.#parts
    const places: Place[] = []
    let full: string | undefined
    try {
      for (const { key, concurrency } of limits) {
        if (concurrency === undefined) continue
        const place = await this.#parts.limits.enter(key, concurrency, leaseMs, clock.now())
        if (place === undefined) {
          full = key
          break
        }
        places.push(place)
        this.#places.add(place)
      }
    } catch (error) {
      await this.leave(places)
      throw error
    }
    if (full === undefined) return places
    await this.leave(places)
    return full
  }

  /** The key for a place of which others were here before; undefined: none were, or it is this claim's turn. */
  #keyOfQueue(claim: Claim, limits: readonly AppliedLimit[]): string | undefined {
    if (this.#called.has(claim) || (this.#kept.size === 0 && this.#called.size === 0)) return undefined
    const keys = new Set(limits.filter(({ concurrency }) => concurrency !== undefined).map(({ key }) => key))
    for (const { placeOf } of this.#kept.values()) if (placeOf !== undefined && keys.has(placeOf)) return placeOf
    for (const key of this.#called.values()) if (keys.has(key)) return key
    return undefined
  }

  #keepForPlace(claim: Claim, key: string): Admission {
    if (this.#kept.size < MOST_KEPT) return this.#keep(claim, PLACE_PAUSE_MS, [], key)
    this.#paced.delete(claim)
    return { kind: 'back', retryAt: this.#parts.clock.now() + NO_ROOM_PAUSE_MS }
  }

  #keep(claim: Claim, ms: number, paces: readonly Pace[], placeOf: string | undefined): Admission {
    if (this.#closed) {
      this.#paced.delete(claim)
      return { kind: 'back', retryAt: claim.entry.dueAt }
    }
    for (const pace of paces) pace.kept += 1
    const timer = this.#parts.clock.after(ms, () => this.#letGo(claim))
    this.#kept.set(claim, { timer, paces, placeOf })
    return KEPT
  }

  #letGo(claim: Claim): void {
    const { placeOf } = this.#kept.get(claim)!
    if (placeOf !== undefined) this.#called.set(claim, placeOf)
    this.#release(claim)
    this.#parts.letGo(claim)
  }

  #release(claim: Claim): void {
    const kept = this.#kept.get(claim)!
    kept.timer.cancel()
    for (const pace of kept.paces) pace.kept -= 1
    this.#kept.delete(claim)
  }

  /** A place is free: for the first that waits for one of this key. */
  #letNextGo(key: string): void {
    for (const [claim, { placeOf }] of this.#kept) {
      if (placeOf !== key) continue
      this.#letGo(claim)
      return
    }
  }
}
