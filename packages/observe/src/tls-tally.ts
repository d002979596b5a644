/** What became of the TLS of sessions with exchangers, counted by domain and policy. Limited, whatever domains there are. */
import type { EventOf, TlsDomainPolicy, TlsFailure } from '@mailwright/core'

/** Sessions of one domain under one policy. */
export interface PolicyTally {
  readonly policy: TlsDomainPolicy
  successful: number
  failed: number
  readonly failures: Map<string, FailureTally>
}

/** Sessions that failed alike. */
export interface FailureTally {
  readonly result: TlsFailure
  readonly mx: string | undefined
  readonly address: string | undefined
  readonly localAddress: string | undefined
  count: number
}

/** A domain's policies, by what they say. */
export type DomainTally = Map<string, PolicyTally>

const MAX_DOMAINS = 10_000
const MAX_POLICIES = 10
/** Beyond so many kinds of failure, hosts and addresses are left out. */
const MAX_FAILURES = 100

/** Counts one session in. */
export function countResult(tallies: Map<string, DomainTally>, event: EventOf<'tls.result'>): void {
  let domain = tallies.get(event.domain)
  if (domain === undefined) {
    if (tallies.size >= MAX_DOMAINS) return
    domain = new Map()
    tallies.set(event.domain, domain)
  }
  const said = [event.policy.type, ...event.policy.lines].join('\n')
  let tally = domain.get(said)
  if (tally === undefined) {
    if (domain.size >= MAX_POLICIES) return
    tally = { policy: event.policy, successful: 0, failed: 0, failures: new Map() }
    domain.set(said, tally)
  }
  if (event.result === 'success') tally.successful++
  else {
    tally.failed++
    countFailure(tally.failures, event, event.result)
  }
}

function countFailure(
  failures: Map<string, FailureTally>,
  { mx, address, localAddress }: EventOf<'tls.result'>,
  result: TlsFailure,
): void {
  const exact = [result, mx, address, localAddress].join(' ')
  const known = failures.get(exact)
  if (known !== undefined) {
    known.count++
    return
  }
  if (failures.size < MAX_FAILURES) {
    failures.set(exact, { result, mx, address, localAddress, count: 1 })
    return
  }
  const rough = failures.get(result)
  if (rough !== undefined) rough.count++
  else failures.set(result, { result, mx: undefined, address: undefined, localAddress: undefined, count: 1 })
}
