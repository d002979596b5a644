/** What became of one recipient in one attempt: always data, never an exception. */

import { MailwrightError } from './errors.ts'
import {
  LOCAL_ERROR,
  type PermanentCode,
  type PositiveCode,
  type RemoteAnswer,
  type Reply,
  type TransientCode,
} from './reply.ts'

/** The transport took responsibility. */
export interface OkOutcome {
  readonly status: 'ok'
  readonly action: 'delivered' | 'relayed' | 'queued' | 'expanded' | 'discarded'
  readonly reply: Reply<PositiveCode>
  /** The next server has been asked to tell the sender of success (RFC 3461 §5.2.1). Absent: nobody has. */
  readonly reportedBy?: 'next-hop' | undefined
  readonly remote?: RemoteAnswer | undefined
}

/** Not now. The scope says whose fault it was: a destination that is down must not be tried for every message. */
export interface DeferredOutcome {
  readonly status: 'deferred'
  readonly scope: 'recipient' | 'message' | 'destination'
  readonly reply: Reply<TransientCode>
  /** Try no earlier than this, ms since the epoch. */
  readonly notBefore?: number
  readonly remote?: RemoteAnswer | undefined
  /** Why, for logs only: never on the wire. */
  readonly cause?: unknown
}

/** What a refusal or deferral is about, as far as its code and text tell. */
export type ResponseCategory =
  | 'auth'
  | 'block'
  | 'content'
  | 'greylist'
  | 'mailbox-full'
  | 'network'
  | 'policy'
  | 'rate'
  | 'spam'
  | 'tls'
  | 'unknown-domain'
  | 'unknown-recipient'
  | 'other'

/** Never. The sender is told. */
export interface FailedOutcome {
  readonly status: 'failed'
  readonly reply: Reply<PermanentCode>
  readonly remote?: RemoteAnswer | undefined
  readonly cause?: unknown
}

export type Outcome = OkOutcome | DeferredOutcome | FailedOutcome

/**
 * Converts anything thrown during delivery into an outcome: total, and temporary unless the error itself says otherwise.
 *
 * @example
 * try { … } catch (error) { outcomes.set(recipient.id, toOutcome(error)) }
 */
export function toOutcome(error: unknown, scope: DeferredOutcome['scope'] = 'message'): Outcome {
  const said = error instanceof MailwrightError ? error.reply : undefined
  if (said !== undefined && said.code >= 500)
    return { status: 'failed', reply: said as Reply<PermanentCode>, cause: error }
  return { status: 'deferred', scope, reply: (said as Reply<TransientCode> | undefined) ?? LOCAL_ERROR, cause: error }
}
