/**
 * From a next hop to a session: its exchangers in order, their addresses in order, until one takes mail or the limits
 * of an attempt are reached (RFC 5321 §5.1). The last failure is the outcome. Never rejects.
 */
import { type Events, MailwrightError, type Outcome, type StsPolicy, toOutcome } from '@mailwright/core'
import { connectNext } from './connect.ts'
import { deferred } from './delivery.ts'
import { type Exchangers, findAddresses, findExchangers } from './exchanger.ts'
import { type Journey, type OpenSession, openSession } from './handshake.ts'
import { type NextHop, nextHopList, parseNextHop } from './next-hop.ts'
import { labelOf } from './target.ts'
import type { TlsPolicy } from './tls-policy.ts'
import { type Required, requirementFor } from './tls-requirement.ts'
import { tellTlsResult } from './tls-result.ts'

export type Opening =
  /** `further`: whether there are servers that have not had their chance. */
  | { readonly status: 'open'; readonly session: OpenSession; readonly further: 'yes' | 'no' }
  | { readonly status: 'failed'; readonly outcome: Outcome }

/** Opens a session with a server of the way's next hops, or else of the fallback. */
export async function openConnection(journey: Journey, events: Events): Promise<Opening> {
  try {
    return await tryNextHops(journey, events)
  } catch (error) {
    // DNS rejects on abort. Anything else is a bug, and still nobody's mail is lost.
    return { status: 'failed', outcome: toOutcome(error, 'destination') }
  }
}

async function tryNextHops(journey: Journey, events: Events): Promise<Opening> {
  const { way, settings, call } = journey
  const ways = nextHopList(way.destination).map((destination) => ({ ...way, destination }))
  // Whom we are to the destination, we are not to the fallback.
  for (const destination of settings.fallback) ways.push({ ...way, destination, credentials: undefined })
  for (const [place, each] of ways.entries()) {
    const opening = await approach({ ...journey, way: each }, events)
    const isLast = place === ways.length - 1
    if (opening.status === 'open') return isLast ? opening : { ...opening, further: 'yes' }
    if (isLast || call.signal.aborted || !mayAskAnother(opening.outcome)) return opening
  }
  throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', 'a list of next hops is never empty')
}

/** A domain that takes no mail, or a loop, is no reason to try elsewhere; one that cannot be found or reached is. */
function mayAskAnother({ status, reply }: Outcome): boolean {
  return status === 'deferred' || reply.enhanced === '5.1.2' || reply.enhanced === '5.4.4'
}

async function approach(journey: Journey, events: Events): Promise<Opening> {
  const { settings, environment, call, way } = journey
  const hop = hopOf(journey)
  const exchangers = await findExchangers(hop, settings, environment.dns, environment.random, call)
  if (exchangers.status === 'none') return { status: 'failed', outcome: exchangers.outcome }
  const policy = await settings.tlsFor(way.destination, hop.host, call)
  const sts = hop.lookup === 'mx' ? await settings.mtaSts?.find(hop.host, call) : undefined
  return tryHosts({ hop, exchangers, policy, sts }, journey, events)
}

interface Plan {
  readonly hop: NextHop
  readonly exchangers: Exchangers & { readonly status: 'found' }
  readonly policy: TlsPolicy
  readonly sts: StsPolicy | undefined
}

async function tryHosts({ hop, exchangers, policy, sts }: Plan, journey: Journey, events: Events): Promise<Opening> {
  const { settings, environment, call, way } = journey
  const { dns } = environment
  const { hosts, authentic } = exchangers
  const connector = { environment, connectMs: settings.connectMs }
  const { port, host: domain } = hop
  let outcome: Outcome | undefined
  let addresses = 0
  let sessions = 0
  for (const [place, host] of hosts.entries()) {
    const found = await findAddresses(host, hop, settings, dns, call)
    if (found.status === 'none') {
      // One exchanger without an address says nothing about the others: a temporary failure outweighs it.
      if (addresses === 0 && (outcome === undefined || found.outcome.status === 'deferred')) outcome = found.outcome
      continue
    }
    const onTheWay = { host, port, domain, secure: exchangers.secure && found.secure, sts }
    const tls: Required =
      hop.lookup === 'unix'
        ? { use: 'never' }
        : forCredentials(await requirementFor(onTheWay, policy, dns, call), journey)
    const report = hop.lookup === 'mx' && policy.level !== 'none' && events.wants('tls.result')
    if (tls.use === 'nobody') {
      outcome = tls.outcome
      if (report) tellTlsResult(events, onTheWay, tls, tls.failure)
      continue
    }
    const left = found.addresses.filter((address) => way.avoiding?.has(labelOf({ host, address, port })) !== true)
    while (left.length > 0) {
      const before = left.length
      const connected = await connectNext(host, left, port, connector, call)
      addresses += before - left.length
      if (connected.status === 'failed') outcome = connected.outcome
      else {
        const { address, wire } = connected
        const session = await openSession(wire, { host, address, port, authentic }, tls, journey)
        if (report) tellTlsResult(events, onTheWay, tls, session, wire)
        if (session.status === 'open') {
          const further = left.length > 0 || place < hosts.length - 1 ? 'yes' : 'no'
          return { status: 'open', session, further }
        }
        outcome = session.outcome
        if (session.status === 'denied') return { status: 'failed', outcome }
        if (session.status === 'refused') sessions += 1
      }
      if (addresses >= settings.maxAddresses || sessions >= settings.maxSessions || call.signal.aborted) {
        return { status: 'failed', outcome }
      }
    }
  }
  return { status: 'failed', outcome: outcome ?? deferred('destination', '4.4.1', `no host for ${domain} was tried`) }
}

function hopOf({ way, settings }: Journey): NextHop {
  const hop = parseNextHop(way.destination, settings.port)
  if (hop === undefined) {
    throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `not a next hop: ${JSON.stringify(way.destination)}`, {
      reply: { code: 550, enhanced: '5.1.2', text: 'the domain is no host name' },
    })
  }
  // LMTP is no relaying: a name is a host's.
  return settings.protocol === 'lmtp' && hop.lookup === 'mx' ? { ...hop, lookup: 'host' } : hop
}

/** SmtpCredentials want TLS, and no second try without it. */
function forCredentials(tls: Required, { way, settings }: Journey): Required {
  return tls.use === 'opportunistic' && way.credentials !== undefined && settings.authWithoutTls === 'never'
    ? { ...tls, use: 'mandatory' }
    : tls
}
