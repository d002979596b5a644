/** Entries by the lane from which they are claimed. An empty lane is no lane. */
import { claimLane } from '@mailwright/core'
import { earliest, type StoredEntry } from './memory-entry.ts'

export class MemoryLanes {
  readonly #lanes = new Map<string, Set<StoredEntry>>()

  add(entry: StoredEntry): void {
    const lane = claimLane(entry)
    const others = this.#lanes.get(lane)
    if (others === undefined) this.#lanes.set(lane, new Set([entry]))
    else others.add(entry)
  }

  /** To be called before anything changes the lane of the entry. */
  delete(entry: StoredEntry): void {
    const lane = claimLane(entry)
    const others = this.#lanes.get(lane)!
    others.delete(entry)
    if (others.size === 0) this.#lanes.delete(lane)
  }

  of(lane: string): readonly StoredEntry[] {
    return [...(this.#lanes.get(lane) ?? [])]
  }

  /** Lanes, each with when the first of its claimable entries is due; infinity when there is none. */
  *due(exclude: ReadonlySet<string> | undefined): Iterable<{ readonly lane: string; readonly dueAt: number }> {
    for (const [lane, entries] of this.#lanes) if (!exclude?.has(lane)) yield { lane, dueAt: earliest(entries) }
  }
}
