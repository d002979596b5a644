/**
 * Destinations that could not be reached when they were last tried, and what came of it. Their mail that has run out of
 * time is returned without yet another attempt: a dead destination is tried a few times an hour, and must not take years
 * to give back a large queue. Known to this process only, and bounded: what is forgotten is tried.
 */
import { type DeferredOutcome, destinationKey } from '@mailwright/core'

/** Most destinations remembered; the longest known are forgotten first. */
const MOST_DESTINATIONS = 10_000

export class UnreachableDestinations {
  readonly #known = new Map<string, DeferredOutcome>()

  /** An attempt in a lane has ended: with what, where the destination could not be reached. */
  learn(lane: string, unreachable: DeferredOutcome | undefined): void {
    if (unreachable === undefined) {
      // While all is well this costs nothing.
      if (this.#known.size > 0) this.#known.delete(destinationKey(lane))
      return
    }
    const destination = destinationKey(lane)
    this.#known.delete(destination)
    this.#known.set(destination, unreachable)
    if (this.#known.size > MOST_DESTINATIONS) this.#known.delete(this.#known.keys().next().value!)
  }

  /** What the last attempt came to, if the lane's destination could not be reached. */
  of(lane: string): DeferredOutcome | undefined {
    return this.#known.size === 0 ? undefined : this.#known.get(destinationKey(lane))
  }
}
