/** How long deferred mail waits for its next attempt. */
import { type Duration, milliseconds } from '@mailwright/core'

/** When a deferred recipient is tried again: ms after `now`. */
export type RetrySchedule = (deferral: {
  readonly now: number
  readonly arrivedAt: number
  readonly attempt: number
}) => number

/**
 * Postfix's back-off: as long again as the message has waited so far, within limits; so the waits about double.
 *
 * @param min the shortest wait, default 300 s
 * @param max the longest wait, default 4000 s
 * @example
 * messageQueue({ …, retry: retryByAge('1m', '2h') })
 */
export function retryByAge(min: Duration = '300s', max: Duration = '4000s'): RetrySchedule {
  const [minMs, maxMs] = [milliseconds(min), milliseconds(max)]
  return ({ now, arrivedAt }) => Math.min(Math.max(now - arrivedAt, minMs), maxMs)
}

/**
 * Fixed waits, one per attempt; the last one repeats.
 *
 * @example
 * retryAfter('5m', '10m', '30m', '1h')
 */
export function retryAfter(first: Duration, ...more: readonly Duration[]): RetrySchedule {
  const waits = [first, ...more].map(milliseconds)
  return ({ attempt }) => waits[Math.min(attempt, waits.length) - 1]!
}
