/** Tells of the TLS of one session with an exchanger, for TLS reports. Only where somebody wants to hear. */
import type { Events, RemoteTls, TlsFailure, Wire } from '@mailwright/core'
import type { HostOnTheWay, Required } from './tls-requirement.ts'

/** How a session, or the lack of one, bears on TLS. */
interface Ending {
  readonly tls?: RemoteTls | undefined
  readonly tlsFailure?: TlsFailure | undefined
}

/** A session that failed for other reasons than TLS, before it, says nothing. */
export function tellTlsResult(
  events: Events,
  { domain, host }: HostOnTheWay,
  required: Required,
  ending: Ending | TlsFailure,
  wire?: Wire,
): void {
  const { tls, tlsFailure }: Ending = typeof ending === 'string' ? { tlsFailure: ending } : ending
  const result = tlsFailure ?? (tls === undefined ? undefined : 'success')
  if (result === undefined) return
  events.emit({
    type: 'tls.result',
    domain,
    policy: required.policy ?? { type: 'no-policy-found', lines: [], mx: [] },
    mx: host,
    address: wire?.remoteAddress,
    localAddress: wire?.localAddress,
    result,
    tls,
  })
}
