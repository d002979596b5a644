/** An outcome in the words that logs of mail have always used. */
import { type Outcome, replyLine } from '@mailwright/core'
import { shortened } from './log-text.ts'

/** What became of a recipient, as Postfix names it. */
export type DeliveryStatus = 'sent' | 'deferred' | 'bounced'

export function deliveryStatus(outcome: Outcome): DeliveryStatus {
  return outcome.status === 'ok' ? 'sent' : outcome.status === 'failed' ? 'bounced' : 'deferred'
}

/** What was said: their answer where there is one, otherwise ours. At most 1,000 characters. */
export function said(outcome: Outcome): string {
  const { remote } = outcome
  if (remote === undefined) return shortened(replyLine(outcome.reply))
  const { lines } = remote
  return shortened(`${remote.code} ${lines.length === 1 ? lines[0]! : lines.join(' ')}`)
}

/** Why we think it failed, where that is more than was said. Never for the wire. */
export function causeOf(outcome: Outcome): string | undefined {
  if (outcome.status === 'ok' || outcome.cause === undefined) return undefined
  return problemText(outcome.cause)
}

/** One line about anything that was thrown. Never throws itself. */
export function problemText(error: unknown): string {
  if (error instanceof Error) return shortened(error.message || error.name)
  try {
    return shortened(String(error))
  } catch {
    return 'something that cannot be shown'
  }
}
