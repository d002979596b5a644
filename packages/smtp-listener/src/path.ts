/**
 * The argument of MAIL and RCPT: a path in angle brackets (RFC 5321 §4.1.2) and what stands behind it. Strict: no blank
 * after the colon, no address without brackets. Source routes are read and dropped (RFC 5321 appendix C). Addresses
 * are kept as given: no case folding of local parts, no translation between U-labels and A-labels.
 */
import { type Mailbox, parseMailbox } from '@mailwright/core'

export interface Path {
  /** `null` is `<>`. */
  readonly mailbox: Mailbox | null
  /** Where the parameters begin in the line; the line's length when there are none. */
  readonly parametersAt: number
}

/** `@one.example,@two.example:` in front of an address. */
const SOURCE_ROUTE = /^@[^\s,:@<>"]+(?:,@[^\s,:@<>"]+)*:/

/**
 * Reads the path that begins at `at` in a command line. Returns undefined for anything that is no path.
 *
 * @example
 * parsePath('MAIL FROM:<ann@example.org> SIZE=42', 10) // { mailbox: { local: 'ann', … }, parametersAt: 28 }
 */
export function parsePath(line: string, at: number): Path | undefined {
  if (line.charCodeAt(at) !== 60 /* < */) return undefined
  const end = closingBracket(line, at + 1)
  if (end < 0) return undefined
  if (end + 1 < line.length && line.charCodeAt(end + 1) !== 32) return undefined
  const parametersAt = Math.min(end + 2, line.length)
  if (end === at + 1) return { mailbox: null, parametersAt }
  const mailbox = parseMailbox(withoutRoute(line.slice(at + 1, end)))
  return mailbox && { mailbox, parametersAt }
}

/** The `>` that ends the path; one inside a quoted local part does not. */
function closingBracket(line: string, from: number): number {
  const plain = line.indexOf('>', from)
  const quote = line.indexOf('"', from)
  if (quote < 0 || plain < quote) return plain
  let quoted = false
  for (let at = quote; at < line.length; at++) {
    const character = line.charCodeAt(at)
    if (quoted && character === 92 /* backslash */) at++
    else if (character === 34 /* quote */) quoted = !quoted
    else if (character === 62 /* > */ && !quoted) return at
  }
  return -1
}

function withoutRoute(address: string): string {
  if (address.charCodeAt(0) !== 64 /* @ */) return address
  const route = SOURCE_ROUTE.exec(address)
  return route ? address.slice(route[0].length) : address
}
