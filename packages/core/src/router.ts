/** Where a recipient goes: plain data, so that a route can be printed, stored and compared. */
import type { Awaitable, Call } from './call.ts'
import type { Mailbox } from './mailbox.ts'
import type { Refusal } from './reply.ts'

/** Recipients of one message that share a lane share an attempt. */
export interface Lane {
  /** The name of a transport. */
  readonly transport: string
  /** The next hop, e.g. `example.com`, `[192.0.2.1]:25`, or empty where the transport needs none. */
  readonly destination: string
}

export type Routing =
  | { readonly kind: 'send'; readonly lane: Lane }
  /**
   * The address stands for others; each is routed in turn. With `keep` it stands for itself as well, by that lane: an
   * alias that names its own address, which is therefore not in `into`.
   */
  | { readonly kind: 'expand'; readonly into: readonly Mailbox[]; readonly keep?: Lane }
  | { readonly kind: 'refuse'; readonly reply: Refusal }

/** Whose address is it, and does it exist? What relay control and unknown-user checks ask. */
export interface Destination {
  /** `ours`: delivered or expanded here; `relay`: we are an MX for it; `elsewhere`: only for authorised clients. */
  readonly kind: 'ours' | 'relay' | 'elsewhere'
  /** Why the address cannot be delivered, where that is known now; null when it may exist. */
  readonly refusal: Refusal | null
}

export interface Router {
  /**
   * Called for each recipient when a message is queued, and again on requeue. A table that fails throws: the caller
   * answers with a temporary failure, never with "not found".
   */
  route(address: Mailbox, sender: Mailbox | null, call: Call): Awaitable<Routing>
  /** Called at RCPT, before anything is accepted. Throws like `route`. */
  destination(address: Mailbox, call: Call): Awaitable<Destination>
}

/** A lane as the opaque, indexed string that stores and schedulers see: `smtp:example.com`. */
export function laneKey(lane: Lane): string {
  return `${lane.transport}:${lane.destination}`
}

/** The lane of a key made by `laneKey`. */
export function parseLaneKey(key: string): Lane {
  const colon = key.indexOf(':')
  return { transport: key.slice(0, colon), destination: key.slice(colon + 1) }
}
