/** Failures by key in a window of time, in bounded memory: the key whose window began first is forgotten first. */
import type { Clock } from '@mailwright/core'

export interface FailureCount {
  add(key: string): void
  /** Begins the key's window anew, with one. */
  renew(key: string): void
  /** Failures in the key's window. */
  count(key: string): number
  readonly size: number
}

/** @param windowMs from a key's first failure until it is forgotten. */
export function failureCount(clock: Clock, windowMs: number, maxEntries: number): FailureCount {
  const entries = new Map<string, { count: number; readonly until: number }>()

  function current(key: string): { count: number } | undefined {
    const entry = entries.get(key)
    if (entry === undefined || entry.until > clock.now()) return entry
    entries.delete(key)
    return undefined
  }

  function renew(key: string): void {
    entries.delete(key)
    entries.set(key, { count: 1, until: clock.now() + windowMs })
    if (entries.size > maxEntries) entries.delete(entries.keys().next().value!)
  }

  return {
    add(key: string): void {
      const entry = current(key)
      if (entry === undefined) renew(key)
      else entry.count++
    },
    renew,
    count: (key) => current(key)?.count ?? 0,
    get size(): number {
      return entries.size
    },
  }
}
