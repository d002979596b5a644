/** From what an attempt has come to, to the report that a notice makes of it, and to the message that carries it. */
import type { Claim, FailedOutcome, Mailbox, MessageSource, NewMessage, OkOutcome } from '@mailwright/core'
import { type DsnAction, type DsnRecipient, type DsnReport, dsnOptions } from '@mailwright/message'
import type { BounceParts } from './bounce.ts'
import type { DelayedRecipient } from './delay-warning.ts'
import { entriesOf, type Routed } from './routing.ts'
import type { FailedRecipient, SucceededRecipient } from './settlement.ts'

export type ToldOfOne = FailedRecipient | SucceededRecipient | DelayedRecipient

/** A notice ready to be stored. */
export interface Notice {
  readonly message: NewMessage
  readonly source: MessageSource
}

/** What a notice to `to` reports: mail of the claim, which left with `sender`. */
export function reportOf(
  parts: Pick<BounceParts, 'hostname' | 'environment' | 'nextId'>,
  { entry, options, message }: Claim,
  sender: Mailbox | null,
  to: Mailbox,
  kind: DsnReport['kind'],
  about: readonly ToldOfOne[],
): DsnReport {
  return {
    kind,
    hostname: parts.hostname,
    id: parts.nextId(),
    at: parts.environment.clock.now(),
    to,
    original: { id: entry.message, sender, arrivedAt: entry.arrivedAt, options, source: message },
    recipients: about.map(recipientOf),
  }
}

function recipientOf(about: ToldOfOne): DsnRecipient {
  const { recipient, outcome } = about
  return {
    recipient,
    reply: outcome.reply,
    action: actionOf(outcome),
    ...(outcome.remote === undefined ? {} : { remote: outcome.remote }),
    ...('retryUntil' in about ? { retryUntil: about.retryUntil } : {}),
  }
}

/** The notice as the store takes it: from nobody, to wherever its recipient was routed. */
export function noticeOf(report: DsnReport, source: MessageSource, routed: readonly Routed[]): Notice {
  const { id, at } = report
  const entries = entriesOf(routed, routed.length, at, undefined)
  return { message: { id, sender: null, options: dsnOptions(report, source), arrivedAt: at, entries }, source }
}

/** RFC 3464 §2.3.3. Mail that an operator has thrown away counts as delivered. */
function actionOf(outcome: FailedOutcome | OkOutcome | DelayedRecipient['outcome']): DsnAction {
  if (outcome.status === 'failed') return 'failed'
  if (outcome.status === 'deferred') return 'delayed'
  return outcome.action === 'relayed' || outcome.action === 'expanded' ? outcome.action : 'delivered'
}
