/**
 * Connecting to a host: one address after another, and where it has addresses of both families, one of the other family
 * is tried beside the first that takes long (RFC 8305). The first to connect wins; the other is given up.
 */
import { type Call, type DeferredOutcome, type Environment, sleep, type Wire } from '@mailwright/core'
import { deferred } from './delivery.ts'
import { inTime } from './in-time.ts'
import { labelOf } from './target.ts'

/** How long the first address has before the other family gets its chance. */
export const HEAD_START_MS = 250

export type Connected =
  | { readonly status: 'connected'; readonly wire: Wire; readonly address: string }
  | { readonly status: 'failed'; readonly outcome: DeferredOutcome }

/** How connections are made. */
export interface Connector {
  readonly environment: Environment
  /** For one address. */
  readonly connectMs: number
}

/** Connects to one address. Never rejects. */
export async function connectTo(
  host: string,
  address: string,
  port: number,
  { environment, connectMs }: Connector,
  call: Call,
): Promise<Connected> {
  const { clock, net } = environment
  const connected = await inTime(clock, connectMs, call, (limited) => net.connect({ host: address, port }, limited))
  if (connected.status === 'done') return { status: 'connected', wire: connected.value, address }
  const label = labelOf({ host, address, port })
  return { status: 'failed', outcome: deferred('destination', '4.4.1', `cannot connect to ${label}`, connected.cause) }
}

/** Connects to the next of the candidates. Those that were tried are taken out of the list. Never rejects. */
export async function connectNext(
  host: string,
  candidates: string[],
  port: number,
  connector: Connector,
  call: Call,
): Promise<Connected> {
  const first = candidates.shift()!
  const other = candidates.find((address) => isIpv6(address) !== isIpv6(first))
  if (other === undefined) return connectTo(host, first, port, connector, call)

  const lost = new AbortController()
  const limited: Call = { signal: AbortSignal.any([call.signal, lost.signal]) }
  const decided = new AbortController()
  const early = connectTo(host, first, port, connector, limited)
  const waited = sleep(connector.environment.clock, HEAD_START_MS, decided.signal).then(
    () => 'late' as const,
    () => 'late' as const,
  )
  const prompt = await Promise.race([early, waited])
  decided.abort()
  if (prompt !== 'late') return prompt

  candidates.splice(candidates.indexOf(other), 1)
  const late = connectTo(host, other, port, connector, limited)
  const winner = await Promise.any([successOf(early), successOf(late)]).catch(() => undefined)
  lost.abort(new Error('another address was faster'))
  const results = await Promise.all([early, late])
  // Both may have connected at the same moment.
  for (const result of results) if (result.status === 'connected' && result !== winner) result.wire.destroy()
  return winner ?? results[1]
}

async function successOf(attempt: Promise<Connected>): Promise<Connected> {
  const result = await attempt
  if (result.status === 'failed') throw result.outcome
  return result
}

function isIpv6(address: string): boolean {
  return address.includes(':')
}
