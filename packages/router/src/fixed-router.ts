import type { Destination, Lane, Router, Routing } from '@mailwright/core'

/**
 * A router that sends everything to one lane: for a relay that asks no questions. It vouches for no address, so who may
 * use it is for the policies to decide.
 *
 * @example
 * fixedRouter({ transport: 'smtp', destination: '[smarthost.example.net]:587' })
 */
export function fixedRouter(lane: Lane): Router {
  const routing: Routing = { kind: 'send', lane: { transport: lane.transport, destination: lane.destination } }
  const destination: Destination = { kind: 'relay', refusal: null }
  return { route: () => routing, destination: () => destination }
}
