/**
 * When the time of a message is over: its lifetime in the queue, or the time its sender gave it (DELIVERBY, RFC 2852).
 * Mail that was to be released later (FUTURERELEASE, RFC 4865) is as old as its release. All in ms since the epoch.
 */
import type { Claim } from '@mailwright/core'
import type { RetryRules } from './retry-rules.ts'

/** Since when the mail may be tried. */
export function ageFrom({ entry, options }: Claim): number {
  return options.notBefore === undefined ? entry.arrivedAt : Math.max(entry.arrivedAt, options.notBefore)
}

/** From when on a deferral is a failure. */
export function expiryOf(claim: Claim, rules: RetryRules): number {
  const { entry, options } = claim
  const end = ageFrom(claim) + (entry.sender === null ? rules.bounceLifetimeMs : rules.lifetimeMs)
  return options.deliverBy?.otherwise === 'return' ? Math.min(end, options.deliverBy.at) : end
}

/** Whether the sender asked not to have it delivered any more (RFC 2852 §4): not even an attempt is made. */
export function isTooLate({ options }: Claim, now: number): boolean {
  const { deliverBy } = options
  return deliverBy !== undefined && deliverBy.otherwise === 'return' && deliverBy.at <= now
}

/** When the mail must be looked at again at the latest: when it expires, or its sender is to be told that it is late. */
export function lookAgainBy(claim: Claim, expiresAt: number, now: number): number {
  const { deliverBy } = claim.options
  if (deliverBy === undefined || deliverBy.otherwise !== 'notify' || deliverBy.at <= now) return expiresAt
  return Math.min(expiresAt, deliverBy.at)
}
