/**
 * TLS reports (RFC 8460): a day's `tls.result` events as the report that each domain has asked for. Whoever hears of the
 * events pays for them; nothing is counted without this. It writes reports and says where they are to go; sending them,
 * by mail or HTTPS, is the host program's.
 *
 * A domain that asks for no reports is forgotten; one whose wish DNS could not tell, too: reports are best effort.
 */
import type { Call, Clock, Events, Resolver } from '@mailwright/core'
import { countResult, type DomainTally, type FailureTally, type PolicyTally } from './tls-tally.ts'

export interface TlsReportsOptions {
  /** Who reports. */
  readonly organization: string
  /** Where the reported may ask: an address. */
  readonly contact: string
  readonly clock: Clock
}

export interface TlsReport {
  /** Whom it is about. */
  readonly domain: string
  /** Where it is to go: `mailto:` and `https:`. */
  readonly rua: readonly string[]
  /** RFC 8460 §4.4; not compressed. */
  readonly json: string
}

export interface TlsReports {
  /** The reports of the time since the last call, for those who want them; counting starts anew. */
  take(dns: Resolver, call: Call): Promise<readonly TlsReport[]>
  /** Ends the counting. */
  stop(): void
}

/** The time that a report is about, ms since the epoch. */
export interface ReportPeriod {
  readonly from: number
  readonly to: number
}

/**
 * Counts TLS results from now on.
 *
 * @example
 * const reports = tlsReports(mta.events, { organization: 'Example', contact: 'postmaster@example.org', clock })
 * for (const { rua, json } of await reports.take(dns, call)) await send(rua, json)
 */
export function tlsReports(events: Events, options: TlsReportsOptions): TlsReports {
  let tallies = new Map<string, DomainTally>()
  let since = options.clock.now()
  const stop = events.subscribe(
    (event) => {
      if (event.type === 'tls.result') countResult(tallies, event)
    },
    (type) => type === 'tls.result',
  )
  return {
    async take(dns: Resolver, call: Call): Promise<readonly TlsReport[]> {
      const counted = tallies
      const period = { from: since, to: options.clock.now() }
      tallies = new Map()
      since = period.to
      const reports: TlsReport[] = []
      for (const [domain, tally] of counted) {
        const rua = await reportAddresses(domain, dns, call)
        if (rua.length > 0) reports.push({ domain, rua, json: tlsReport(domain, tally, period, options) })
      }
      return reports
    },
    stop,
  }
}

/** Where a domain wants its reports (RFC 8460 §3); nowhere, most say. */
async function reportAddresses(domain: string, dns: Resolver, call: Call): Promise<readonly string[]> {
  const answer = await dns.resolve(`_smtp._tls.${domain}`, 'TXT', call)
  if (answer.status !== 'found') return []
  const wishes = answer.records.map((parts) => parts.join('')).filter((text) => /^v=TLSRPTv1\s*;/.test(text))
  // Several are none.
  if (wishes.length !== 1) return []
  const rua = /;\s*rua=([^;\s]+(?:\s*,\s*[^;\s]+)*)/.exec(wishes[0]!)?.[1] ?? ''
  return rua.split(/\s*,\s*/).filter((uri) => /^(?:mailto:|https:)[\x21-\x7e]+$/.test(uri))
}

/** The report about a domain. Pure. */
export function tlsReport(
  domain: string,
  tally: DomainTally,
  { from, to }: ReportPeriod,
  { organization, contact }: Pick<TlsReportsOptions, 'organization' | 'contact'>,
): string {
  const start = new Date(from).toISOString()
  return JSON.stringify({
    'organization-name': organization,
    'date-range': { 'start-datetime': start, 'end-datetime': new Date(to).toISOString() },
    'contact-info': contact,
    'report-id': `${start}_${domain}`,
    policies: [...tally.values()].map((each) => policyPart(domain, each)),
  })
}

function policyPart(domain: string, { policy, successful, failed, failures }: PolicyTally): object {
  return {
    policy: {
      'policy-type': policy.type,
      ...(policy.lines.length > 0 ? { 'policy-string': policy.lines } : {}),
      'policy-domain': domain,
      ...(policy.mx.length > 0 ? { 'mx-host': policy.mx } : {}),
    },
    summary: { 'total-successful-session-count': successful, 'total-failure-session-count': failed },
    ...(failures.size > 0 ? { 'failure-details': [...failures.values()].map(failurePart) } : {}),
  }
}

/** What is unknown is left out. */
function failurePart({ result, mx, address, localAddress, count }: FailureTally): object {
  return {
    'result-type': result,
    'sending-mta-ip': localAddress,
    'receiving-mx-hostname': mx,
    'receiving-ip': address,
    'failed-session-count': count,
  }
}
