/** The time stamp of syslog (RFC 3164 §4.1.2), in UTC. */

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'] as const

/**
 * @param at ms since the epoch.
 * @example
 * syslogTime(Date.UTC(2026, 10, 2, 17, 0, 0)) // 'Nov  2 17:00:00'
 */
export function syslogTime(at: number): string {
  const date = new Date(at)
  return `${MONTHS[date.getUTCMonth()]} ${String(date.getUTCDate()).padStart(2)} ${date.toISOString().slice(11, 19)}`
}
