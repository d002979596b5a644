/** One delivery for each recipient of a job, some of them at the same time. */
import type { DeliveryJob, Outcome, Recipient, RecipientId } from '@mailwright/core'

/** At the same time: enough to share disk syncs. */
const PARALLEL = 8

/** Delivers to every recipient. `deliverTo` must not reject. */
export async function eachRecipient(
  { envelope: { recipients } }: DeliveryJob,
  deliverTo: (recipient: Recipient) => Promise<Outcome>,
): Promise<ReadonlyMap<RecipientId, Outcome>> {
  const outcomes = new Map<RecipientId, Outcome>()
  // Each worker takes the next recipient that none has taken yet.
  const waiting = recipients.values()
  const work = async (): Promise<void> => {
    for (const recipient of waiting) outcomes.set(recipient.id, await deliverTo(recipient))
  }
  if (recipients.length === 1) await work()
  else await Promise.all(Array.from({ length: Math.min(PARALLEL, recipients.length) }, work))
  return outcomes
}
