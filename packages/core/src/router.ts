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
  /**
   * A line of its own for some of the destination's mail, e.g. a campaign or one giant message: lines take turns, and
   * share the destination's limits. Letters, digits, `.`, `_`, `-`, `@`, `=` and `+`. Absent: the common line.
   */
  readonly stream?: string
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

/** A lane as the opaque, indexed string that stores see: `smtp:example.com`, or `smtp/spring-sale:example.com`. */
export function laneKey({ transport, destination, stream }: Lane): string {
  return stream === undefined ? `${transport}:${destination}` : `${transport}/${stream}:${destination}`
}

/** The lane of a key made by `laneKey`. */
export function parseLaneKey(key: string): Lane {
  const colon = key.indexOf(':')
  const slash = key.indexOf('/')
  const destination = key.slice(colon + 1)
  if (slash < 0 || slash > colon) return { transport: key.slice(0, colon), destination }
  return { transport: key.slice(0, slash), destination, stream: key.slice(slash + 1, colon) }
}

/** Who is limited, whatever the line: the key of the lane without its stream. */
export function destinationKey(key: string): string {
  const colon = key.indexOf(':')
  const slash = key.indexOf('/')
  return slash < 0 || slash > colon ? key : key.slice(0, slash) + key.slice(colon)
}
