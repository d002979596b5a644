/** What an attempt tells the world, once it is settled. */
import type { Claim, Events, Lane, Remainder } from '@mailwright/core'
import type { Notices } from './bounce.ts'
import type { Conclusions } from './settlement.ts'

export interface SettledAttempt {
  readonly claim: Claim
  readonly lane: Lane
  readonly conclusions: Conclusions
  readonly bounce: Notices['bounce']
  readonly remainder: Remainder
  /** ms since the epoch. */
  readonly startedAt: number
  readonly endedAt: number
}

/** An event for each recipient, one about the notice, and one when nothing of the message is left. */
export function tellAttempt(events: Events, attempt: SettledAttempt): void {
  const { entry } = attempt.claim
  if (events.wants('recipient.settled')) tellRecipients(events, attempt)
  tellBounce(events, attempt)
  if (attempt.remainder === 'nothing' && events.wants('message.removed')) {
    events.emit({ type: 'message.removed', message: entry.message })
  }
}

function tellRecipients(events: Events, attempt: SettledAttempt): void {
  const { claim, lane, conclusions, startedAt, endedAt } = attempt
  const { entry } = claim
  for (const recipient of entry.recipients) {
    const outcome = conclusions.outcomes.get(recipient.id)!
    events.emit({
      type: 'recipient.settled',
      message: entry.message,
      recipient,
      sender: entry.sender,
      lane,
      outcome,
      attempt: entry.attempts + 1,
      delays: { queued: startedAt - entry.arrivedAt, attempt: endedAt - startedAt },
      retryAt: outcome.status === 'deferred' ? conclusions.retryAt : undefined,
      category: conclusions.categories?.get(recipient.id),
    })
  }
}

function tellBounce(events: Events, { claim, conclusions, bounce }: SettledAttempt): void {
  const { message } = claim.entry
  if (bounce === undefined) return
  if (bounce === 'undeliverable') {
    const recipients = conclusions.failed.map((each) => each.recipient)
    events.emit({ type: 'message.undeliverable', message, recipients })
  } else {
    events.emit({
      type: 'message.bounced',
      message,
      dsn: bounce.message.id,
      sender: bounce.to,
      recipients: bounce.recipients,
      ...(bounce.about === 'failure' ? {} : { about: bounce.about }),
    })
  }
}
