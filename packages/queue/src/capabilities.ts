/**
 * What a queue may promise a sender: nothing that any of its transports would break, because the sender does not choose
 * the transport. What waits is the queue's own to honour: the release of mail at a later time (FUTURERELEASE, RFC 4865).
 * Mail with an end (DELIVERBY, RFC 2852) is returned or reported by the queue, but must be sent on with what is left of its
 * time: that is the transports' part, as are priorities beyond our own line (MT-PRIORITY, RFC 6710).
 */
import type { Capability, Transport } from '@mailwright/core'

/** A transport cannot honour it behind a queue. */
const NOT_WITH_QUEUE: Capability = 'etrn'

/** What all of these transports honour, and what the queue honours of itself. */
export function queueCapabilities(transports: Iterable<Transport>): ReadonlySet<Capability> {
  const all = [...transports]
  const honoured = new Set<Capability>(['futurerelease'])
  for (const capability of all[0]?.capabilities ?? []) {
    if (capability === NOT_WITH_QUEUE) continue
    if (all.every(({ capabilities }) => capabilities?.has(capability) === true)) honoured.add(capability)
  }
  return honoured
}
