/** Recipients that are not to be written to any more because of how they failed, as reactions to answers have it. */
import { deferralText, type Events, type SuppressionList } from '@mailwright/core'
import type { FailedRecipient } from './settlement.ts'

export interface SuppressingParts {
  readonly suppressions?: SuppressionList | undefined
  readonly events: Events
}

/**
 * Adds those to the list whose failure asks for it, once it is settled. Never rejects: a list that fails is a `failure`
 * event, and the next mail to the address will tell again.
 */
export async function suppressFailed(
  { suppressions, events }: SuppressingParts,
  failed: readonly FailedRecipient[],
  now: number,
): Promise<void> {
  if (suppressions === undefined) return
  for (const { recipient, outcome, suppressMs } of failed) {
    if (suppressMs === undefined) continue
    const until = suppressMs === Number.POSITIVE_INFINITY ? {} : { until: now + suppressMs }
    const { address } = recipient
    try {
      await suppressions.add({ address, cause: 'bounce', reason: deferralText(outcome), since: now, ...until })
    } catch (error) {
      events.emit({ type: 'failure', where: 'suppressing an address that failed', error })
    }
  }
}
