/** Durations as options take them: milliseconds, or a number with a unit. */
import { MailwrightError } from './errors.ts'

/** Milliseconds, or text such as `'300ms'`, `'30s'`, `'5m'`, `'4h'`, `'5d'`, `'1w'`. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd' | 'w'}`

const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
}

/**
 * A duration in milliseconds.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for anything that is no duration, and for a negative one.
 * @example
 * milliseconds('5m') // 300000
 */
export function milliseconds(duration: Duration): number {
  if (typeof duration === 'number') {
    if (duration >= 0) return duration
  } else {
    const match = /^(\d+(?:\.\d+)?)(ms|[smhdw])$/.exec(duration)
    if (match) return Number(match[1]) * UNIT_MS[match[2]!]!
  }
  throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `not a duration: ${String(duration)}`)
}
