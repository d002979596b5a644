/** The queue in numbers, counted when asked: a store for millions keeps them instead. */
import type { LaneShape, QueueStats, ShapeQuery } from '@mailwright/core'
import { isClaimed, type StoredEntry } from './memory-entry.ts'

export function statsOf(entries: readonly StoredEntry[], bytes: number): QueueStats {
  const messages = new Set(entries.map((entry) => entry.message))
  const arrivals = [...messages].map((message) => message.about.arrivedAt)
  return {
    messages: messages.size,
    entries: entries.length,
    held: entries.filter((entry) => entry.held !== undefined).length,
    deferred: entries.filter((entry) => entry.attempts > 0).length,
    claimed: entries.filter(isClaimed).length,
    bytes,
    lanes: new Set(entries.map((entry) => entry.lane)).size,
    oldest: arrivals.length === 0 ? undefined : arrivals.reduce((oldest, each) => Math.min(oldest, each)),
  }
}

export function shapeOf(entries: readonly StoredEntry[], { now, ages, limit }: ShapeQuery): readonly LaneShape[] {
  const columns = new Map<string, number[]>()
  for (const { lane, message } of entries) {
    const counts = columns.get(lane) ?? new Array<number>(ages.length + 1).fill(0)
    columns.set(lane, counts)
    const age = now - message.about.arrivedAt
    const column = ages.findIndex((bound) => age <= bound)
    counts[column < 0 ? ages.length : column]! += 1
  }
  return [...columns]
    .map(([lane, counts]) => ({ lane, entries: counts.reduce((sum, count) => sum + count), ages: counts }))
    .sort((one, other) => other.entries - one.entries)
    .slice(0, limit)
}
