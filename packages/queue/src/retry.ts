/** How long deferred mail waits for its next attempt. */
import { type Duration, MailwrightError, milliseconds, type Random } from '@mailwright/core'

/** What a schedule may go by. */
export interface Deferral {
  /** ms since the epoch. */
  readonly now: number
  /** When the mail came, or was to be released; ms since the epoch. */
  readonly arrivedAt: number
  /** Attempts made so far, at least 1. */
  readonly attempt: number
  readonly random: Random
}

/** When a deferred recipient is tried again: ms after `now`. */
export type RetrySchedule = (deferral: Deferral) => number

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

/**
 * The same schedule with waits that differ by up to `share` either way, so that mail deferred together does not come
 * back together.
 *
 * @param share of the wait, from 0 to 1: with 0.1 an hour becomes 54 to 66 minutes
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for another share
 * @example
 * messageQueue({ …, retry: withJitter(retryByAge(), 0.1) })
 */
export function withJitter(schedule: RetrySchedule, share: number): RetrySchedule {
  if (!(share >= 0 && share <= 1)) throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `not a share of a wait: ${share}`)
  return (deferral) => schedule(deferral) * (1 + share * (2 * deferral.random.float() - 1))
}
