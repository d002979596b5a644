/** What putting, claiming and settling share between `open` and `close`. */
import { type Claim, MailwrightError } from '@mailwright/core'
import type { Link } from './link.ts'
import type { MessageBodies } from './message-bodies.ts'
import type { RedisStoreSettings } from './options.ts'
import type { Quarantine } from './quarantine.ts'
import type { ServerClock } from './server-clock.ts'

export interface StoreParts {
  readonly settings: RedisStoreSettings
  readonly link: Link
  readonly bodies: MessageBodies
  readonly clock: ServerClock
  readonly quarantine: Quarantine
  /** By token, what this node has claimed and not settled. */
  readonly claims: Map<string, Claim>
  /** The error to reject with. Also keeps in mind that there was no room. */
  failed(error: unknown): MailwrightError
  /** A write found room. */
  succeeded(): void
}

export function claimLost(claim: Claim): MailwrightError {
  return new MailwrightError('ERR_MAILWRIGHT_CLAIM_LOST', `the claim of ${claim.entry.message} was lost`)
}

/** A message whose body went before the message came: the sender tries again. */
export function bodyGone(message: string): MailwrightError {
  return new MailwrightError('ERR_MAILWRIGHT_STORE', `the body of ${message} is gone`)
}
