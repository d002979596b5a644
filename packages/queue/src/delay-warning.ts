/**
 * When a sender is told that mail is late and still being tried: once for each entry, after the first attempt that ends
 * when the time has come (RFC 3461 §6.2), or when the time passes that the sender itself has set (BY with notify,
 * RFC 2852 §4). Who then wants to hear of it is for the notice to ask.
 */
import { type Claim, type DeferredOutcome, type Recipient, reply } from '@mailwright/core'
import type { Conclusions } from './settlement.ts'

export interface DelayedRecipient {
  readonly recipient: Recipient
  readonly outcome: DeferredOutcome
  /** ms since the epoch. */
  readonly retryUntil: number
  /** Whether the sender has set the time, and so wants to hear of it unless of nothing. */
  readonly asked: boolean
}

const NOBODY: readonly DelayedRecipient[] = []

/** Those whose mail is late at `now`, of an entry whose sender has not been warned. `warnAfterMs` undefined: never. */
export function lateRecipients(
  { entry, options }: Claim,
  { deferred, outcomes, expiresAt }: Pick<Conclusions, 'deferred' | 'outcomes' | 'expiresAt'>,
  now: number,
  warnAfterMs: number | undefined,
): readonly DelayedRecipient[] {
  if (deferred.length === 0 || entry.warned === true || entry.sender === null) return NOBODY
  const { deliverBy } = options
  const asked = deliverBy?.otherwise === 'notify' && now >= deliverBy.at
  const since = Math.max(entry.arrivedAt, options.notBefore ?? 0)
  if (!asked && (warnAfterMs === undefined || now - since < warnAfterMs)) return NOBODY
  return deferred.map((recipient) => {
    const outcome = outcomes.get(recipient.id) as DeferredOutcome
    return { recipient, outcome: asked ? timeIsOver(outcome) : outcome, retryUntil: expiresAt, asked }
  })
}

/** The status that RFC 2852 §4.1.4 wants for mail that is late by the sender's own time. */
function timeIsOver(outcome: DeferredOutcome): DeferredOutcome {
  return { ...outcome, reply: reply(450, '4.4.7', outcome.reply.text) }
}
