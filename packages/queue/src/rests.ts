/** Pauses between two attempts: of a destination, or of a transport with all its destinations (Postfix's rate delays). */
import type { Destination, TransportState } from './destination.ts'

const NONE: readonly number[] = []

export class Rests<C> {
  readonly #resting = new Set<Destination<C> | TransportState<C>>()

  /** After an attempt. Answers when its pauses will be over; most have none. */
  begin(destination: Destination<C>, now: number): readonly number[] {
    const { manners, transport } = destination
    const ownMs = manners.rateDelayMs ?? 0
    if (ownMs === 0 && transport.rateDelayMs === 0) return NONE
    const ends: number[] = []
    if (ownMs > 0) ends.push(this.#rest(destination, now + ownMs))
    if (transport.rateDelayMs > 0) ends.push(this.#rest(transport, now + transport.rateDelayMs))
    return ends
  }

  /** Ends the pauses that are over, telling of each destination. Answers when the next is. */
  end(now: number, over: (destination: Destination<C>) => void): number | undefined {
    let next = Number.POSITIVE_INFINITY
    for (const who of this.#resting) {
      if (who.restsUntil! > now) {
        next = Math.min(next, who.restsUntil!)
        continue
      }
      this.#resting.delete(who)
      who.restsUntil = undefined
      if ('window' in who) over(who)
    }
    return next === Number.POSITIVE_INFINITY ? undefined : next
  }

  #rest(who: Destination<C> | TransportState<C>, until: number): number {
    who.restsUntil = until
    this.#resting.add(who)
    return until
  }
}
