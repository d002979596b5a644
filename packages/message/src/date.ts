/** Dates as mail writes them (RFC 5322 §3.3), always in UTC. */

/**
 * The date of a moment, given in ms since the epoch.
 *
 * @example
 * mailDate(1795368179000) // 'Sun, 22 Nov 2026 17:22:59 +0000'
 */
export function mailDate(at: number): string {
  const second = Math.floor(at / 1_000)
  // A busy server writes the same second into many messages.
  if (second !== lastSecond) {
    lastSecond = second
    lastDate = `${new Date(second * 1_000).toUTCString().slice(0, -3)}+0000`
  }
  return lastDate
}

let lastSecond = Number.NaN
let lastDate = ''
