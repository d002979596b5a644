/**
 * Whom to tell about recipients that failed, or that were served where the sender asked to hear of it, and how: a delivery status notification to the sender (RFC 3461, RFC 3464),
 * stored in the same transaction as what it reports. The null sender is never told: notices do not bounce.
 */
import {
  type Call,
  type Claim,
  type Environment,
  type FailedOutcome,
  MailwrightError,
  type MessageId,
  type MessageSource,
  type NewMessage,
  type OkOutcome,
  type Recipient,
  type Router,
} from '@mailwright/core'
import { buildDsn, type DsnAction, type DsnReport, dsnOptions } from '@mailwright/message'
import { entriesOf, routeAll } from './routing.ts'
import type { FailedRecipient, SucceededRecipient } from './settlement.ts'

export interface BounceParts {
  readonly hostname: string
  readonly router: Router
  readonly environment: Environment
  readonly nextId: () => MessageId
}

export interface Bounce {
  readonly message: NewMessage
  readonly source: MessageSource
  readonly recipients: readonly Recipient[]
  readonly about: 'failure' | 'success' | 'both'
}

const KINDS = { failure: 'failed', success: 'delivered', both: 'mixed' } as const

/**
 * The notice about these recipients: undefined when nobody asked for one, `undeliverable` when there is nobody to tell of
 * a failure. Success that nobody can be told of is success all the same.
 * Rejects when the sender's address cannot be routed now.
 */
export async function bounceFor(
  parts: BounceParts,
  claim: Claim,
  failures: readonly FailedRecipient[],
  call: Call,
  successes: readonly SucceededRecipient[] = [],
): Promise<Bounce | 'undeliverable' | undefined> {
  const reported = failures.filter(({ recipient }) => wantsFailureNotice(recipient))
  if (reported.length === 0 && successes.length === 0) return undefined
  const about = successes.length === 0 ? 'failure' : reported.length === 0 ? 'success' : 'both'
  const nobodyToTell = about === 'success' ? undefined : 'undeliverable'
  const { sender } = claim.entry
  if (sender === null) return nobodyToTell
  const to: Recipient = { id: 1, address: sender, original: sender }
  const routed = await routeAll(parts.router, null, [to], call)
  if (routed.every((each) => each.refusal !== undefined)) {
    const temporary = routed.find((each) => each.refusal!.code < 500)?.refusal
    if (temporary === undefined) return nobodyToTell
    throw new MailwrightError('ERR_MAILWRIGHT_UNEXPECTED', 'the sender cannot be routed now', { reply: temporary })
  }
  const now = parts.environment.clock.now()
  const id = parts.nextId()
  const report: DsnReport = {
    kind: KINDS[about],
    hostname: parts.hostname,
    id,
    at: now,
    to: sender,
    original: {
      id: claim.entry.message,
      sender,
      arrivedAt: claim.entry.arrivedAt,
      options: claim.options,
      source: claim.message,
    },
    recipients: [...reported, ...successes].map(({ recipient, outcome }) => ({
      recipient,
      reply: outcome.reply,
      action: actionOf(outcome),
      ...(outcome.remote === undefined ? {} : { remote: outcome.remote }),
    })),
  }
  const source = buildDsn(report)
  const entries = entriesOf(routed, routed.length, now, undefined)
  return {
    message: { id, sender: null, options: dsnOptions(report, source), arrivedAt: now, entries },
    source,
    recipients: [...reported, ...successes].map((each) => each.recipient),
    about,
  }
}

/** RFC 3464 §2.3.3. Mail that an operator has thrown away counts as delivered. */
function actionOf(outcome: FailedOutcome | OkOutcome): DsnAction {
  if (outcome.status === 'failed') return 'failed'
  return outcome.action === 'relayed' || outcome.action === 'expanded' ? outcome.action : 'delivered'
}

/** NOTIFY absent means failures are reported; NEVER, or a list without FAILURE, means they are not (RFC 3461 §4.1). */
function wantsFailureNotice(recipient: Recipient): boolean {
  return recipient.notify === undefined || recipient.notify.includes('failure')
}
