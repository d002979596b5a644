/**
 * Parameters of MAIL that name a time: BY (RFC 2852), HOLDFOR and HOLDUNTIL (RFC 4865). Strict, and with an end: a
 * message is not kept for longer than `LONGEST_HOLD_S`, whoever asks for it.
 */
import type { DeliverBy } from '@mailwright/core'

/** The longest HOLDFOR, in seconds: 30 days. */
export const LONGEST_HOLD_S: number = 30 * 86_400

const BY = /^([+-]?)(\d{1,9});([NR])(T?)$/i
const DATE_TIME = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d{1,9})?(?:Z|[+-]([01]\d|2[0-3]):[0-5]\d)$/i

/** Reads a value of BY, relative to `now`. What shall be returned unless delivered in the past cannot be asked for (§4). */
export function deliverBy(value: string, now: number): DeliverBy | undefined {
  const parts = BY.exec(value)
  if (parts === null) return undefined
  const seconds = Number(parts[2]) * (parts[1] === '-' ? -1 : 1)
  const otherwise = parts[3]!.toUpperCase() === 'R' ? 'return' : 'notify'
  if (otherwise === 'return' && seconds <= 0) return undefined
  return { at: now + seconds * 1_000, otherwise, trace: parts[4] !== '' }
}

/** Reads a value of HOLDFOR, in seconds, to ms since the epoch; undefined also for one that is too long. */
export function heldFor(value: string, now: number): number | undefined {
  if (!/^\d{1,9}$/.test(value)) return undefined
  const seconds = Number(value)
  return seconds <= LONGEST_HOLD_S ? now + seconds * 1_000 : undefined
}

/** Reads a value of HOLDUNTIL (RFC 3339), to ms since the epoch; undefined also for one too far away. The past is now. */
export function heldUntil(value: string, now: number): number | undefined {
  const parts = DATE_TIME.exec(value)
  if (parts === null) return undefined
  const [, year, month, day, hour, minute, second] = parts
  // `Date` takes the 31st of February for a day in March.
  if (new Date(Date.UTC(Number(year), Number(month) - 1, Number(day))).getUTCDate() !== Number(day)) return undefined
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return undefined
  const at = Date.parse(value.toUpperCase())
  return Number.isNaN(at) || at > now + LONGEST_HOLD_S * 1_000 ? undefined : Math.max(at, now)
}
