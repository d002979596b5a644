/**
 * Limits kept in memory, for a queue that is the only one: the readable reference of `Limits`. A rate is a schedule of
 * moments (GCRA): each pace takes the next one, so mail leaves evenly, however it comes. A place that nobody leaves or
 * renews is free again after its lease. What is idle is forgotten; a restart forgets everything.
 */
import type { Limits, Place, Rate } from '@mailwright/core'

/** How many keys are kept before the idle ones are looked for. */
const FIRST_SWEEP = 1_000

/**
 * Limits of this process.
 *
 * @example
 * messageQueue({ …, limits: [{ by: 'tenant', rate: { count: 100, perMs: 3_600_000 } }], limitKeeper: memoryLimits() })
 */
export function memoryLimits(): Limits {
  return new MemoryLimits()
}

class MemoryLimits implements Limits {
  /** When the moments taken so far are used up, were each to wait for the one before. */
  readonly #bookedUntil = new Map<string, number>()
  /** By key, until when each token is good. */
  readonly #places = new Map<string, Map<string, number>>()
  #tokens = 0
  #sweepAt = FIRST_SWEEP

  pace(key: string, { count, perMs, burst = 1 }: Rate, now: number): number {
    const interval = perMs / count
    const booked = Math.max(this.#bookedUntil.get(key) ?? now, now)
    const moment = Math.max(now, booked - (burst - 1) * interval)
    this.#bookedUntil.set(key, booked + interval)
    this.#sweep(now)
    return Math.ceil(moment)
  }

  enter(key: string, limit: number, leaseMs: number, now: number): Place | undefined {
    let places = this.#places.get(key)
    if (places === undefined) {
      places = new Map()
      this.#places.set(key, places)
    }
    for (const [token, until] of places) if (until <= now) places.delete(token)
    if (places.size >= limit) return undefined
    this.#tokens += 1
    const token = String(this.#tokens)
    places.set(token, now + leaseMs)
    return { key, token }
  }

  renew({ key, token }: Place, leaseMs: number, now: number): boolean {
    const places = this.#places.get(key)
    const until = places?.get(token)
    if (places === undefined || until === undefined || until <= now) return false
    places.set(token, now + leaseMs)
    return true
  }

  leave({ key, token }: Place): void {
    const places = this.#places.get(key)
    places?.delete(token)
    if (places?.size === 0) this.#places.delete(key)
  }

  /** A key whose moments have all passed is as good as new. Looked for when twice as many are kept as were of use. */
  #sweep(now: number): void {
    if (this.#bookedUntil.size < this.#sweepAt) return
    for (const [key, until] of this.#bookedUntil) if (until <= now) this.#bookedUntil.delete(key)
    this.#sweepAt = Math.max(FIRST_SWEEP, this.#bookedUntil.size * 2)
  }
}
