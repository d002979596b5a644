/**
 * Puts recipients on a suppression list when an answer says that there is no use in writing again. What is missed in a
 * crash is learned with the next bounce.
 */
import { deferralText, type EventOf, type ResponseCategory, type Scope, type SuppressionList } from '@mailwright/core'

/** Adds those who fail with an answer of these categories, from now until the result is called. */
export function suppressBounces(
  scope: Scope,
  suppressions: SuppressionList,
  categories: readonly ResponseCategory[],
): () => void {
  const { clock } = scope.environment
  const told = ({ recipient, outcome, category }: EventOf<'recipient.settled'>): void => {
    if (outcome.status !== 'failed' || category === undefined || !categories.includes(category)) return
    const suppression = {
      address: recipient.address,
      cause: 'bounce',
      reason: deferralText(outcome),
      since: clock.now(),
    } as const
    scope.task('suppressing a recipient', () => suppressions.add(suppression))
  }
  return scope.events.subscribe(
    (event) => {
      if (event.type === 'recipient.settled') told(event)
    },
    (type) => type === 'recipient.settled',
  )
}
