/** How long deferred mail waits for its next attempt. */
import { type Duration, MailwrightError, milliseconds } from '@mailwright/core'

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

/** Where a schedule gives no answer: as Postfix's shortest wait. */
const FALLBACK_MS = 300_000

/** The same schedule, but one that throws, or answers with no time to wait, does not stop the mail. */
export function dependable(schedule: RetrySchedule, report: (error: unknown) => void): RetrySchedule {
  return (deferral) => {
    try {
      const wait = schedule(deferral)
      if (wait >= 0 && Number.isFinite(wait)) return wait
      report(new MailwrightError('ERR_MAILWRIGHT_CONFIG', `the retry schedule answered ${String(wait)}`))
    } catch (error) {
      report(error)
    }
    return FALLBACK_MS
  }
}
