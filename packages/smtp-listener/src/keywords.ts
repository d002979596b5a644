/** What EHLO offers (RFC 5321 §4.1.1.1): what the engine does itself, and what the intake honours, in a fixed order. */
import type { Capability } from '@mailwright/core'
import type { MailTerms } from './parameters.ts'
import { LONGEST_HOLD_S } from './times.ts'

export interface Offer {
  readonly terms: MailTerms
  readonly maxSize: number
  readonly maxRecipients: number
  /** ms since the epoch. */
  readonly now: number
  /** The line of AUTH. */
  readonly auth: string | undefined
  /** The lines of the host's own extensions. */
  readonly own: readonly string[] | undefined
  /** XCLIENT and XFORWARD, for hosts that may speak for others. */
  readonly trusted: readonly string[] | undefined
  readonly tls: 'none' | 'offered' | 'active'
}

/** Keywords that say nothing more. FUTURERELEASE has its limits beside it. */
const PLAIN: readonly (readonly [Capability, string])[] = [
  ['binarymime', 'BINARYMIME'],
  ['dsn', 'DSN'],
  ['requiretls', 'REQUIRETLS'],
  ['mt-priority', 'MT-PRIORITY'],
  ['deliverby', 'DELIVERBY'],
  ['etrn', 'ETRN'],
]

/** The keyword lines of an EHLO answer. */
export function keywords(offer: Offer): readonly string[] {
  const { terms, maxSize, maxRecipients, auth, own, trusted, tls } = offer
  const lines = ['PIPELINING', `SIZE ${maxSize}`, '8BITMIME']
  if (terms.offers('smtputf8')) lines.push('SMTPUTF8')
  lines.push('CHUNKING')
  for (const [capability, keyword] of PLAIN) if (terms.offers(capability)) lines.push(keyword)
  if (terms.offers('futurerelease')) lines.push(futureRelease(offer.now))
  // The place for MAILMAX, once a connection has a limit of messages (RFC 9422 §4).
  lines.push(`LIMITS RCPTMAX=${maxRecipients}`)
  if (auth !== undefined) lines.push(auth)
  if (own !== undefined) lines.push(...own)
  if (trusted !== undefined) lines.push(...trusted)
  lines.push('ENHANCEDSTATUSCODES')
  if (tls === 'offered') lines.push('STARTTLS')
  return lines
}

/** With the longest time and the last date (RFC 4865 §3). */
function futureRelease(now: number): string {
  const last = new Date(now + LONGEST_HOLD_S * 1_000).toISOString().replace(/\.\d+/, '')
  return `FUTURERELEASE ${LONGEST_HOLD_S} ${last}`
}
