/** A transport that takes mail and throws it away. */
import { type Capability, type DeliveryJob, type OkOutcome, reply, sameOutcome, type Transport } from '@mailwright/core'

const DISCARDED: OkOutcome = { status: 'ok', action: 'discarded', reply: reply(250, '2.0.0', 'discarded') }

/** Whatever a sender asks of a delivery, there is none: nothing of it is broken. */
const HONOURED: ReadonlySet<Capability> = new Set([
  'binarymime',
  'deliverby',
  'dsn',
  'mt-priority',
  'requiretls',
  'smtputf8',
])

/**
 * Answers every recipient with 250, action `discarded`, and keeps nothing. `name` is `'discard'` when not given.
 *
 * @example
 * messageQueue({ store, router, transports: { local, noreply: discardTransport('noreply') } })
 */
export function discardTransport(name = 'discard'): Transport {
  return { name, capabilities: HONOURED, deliver: async (job: DeliveryJob) => sameOutcome(job.envelope, DISCARDED) }
}
