/**
 * From a next hop to a session: its exchangers in order, their addresses in order, until one takes mail or the limits
 * of an attempt are reached (RFC 5321 §5.1). The last failure is the outcome. Never rejects.
 */
import { type Call, type Environment, MailwrightError, type Outcome, toOutcome } from '@mailwright/core'
import { deferred } from './delivery.ts'
import { findAddresses, findExchangers } from './exchanger.ts'
import { type OpenSession, openSession } from './handshake.ts'
import { parseNextHop } from './next-hop.ts'
import type { Settings } from './options.ts'
import { type Required, requirementFor } from './tls-requirement.ts'

export type Opening = OpenSession | { readonly status: 'failed'; readonly outcome: Outcome }

/** Opens a session with a server of `destination`, as lanes write next hops. */
export async function openConnection(
  destination: string,
  settings: Settings,
  environment: Environment,
  call: Call,
): Promise<Opening> {
  try {
    return await approach(destination, settings, environment, call)
  } catch (error) {
    // DNS rejects on abort. Anything else is a bug, and still nobody's mail is lost.
    return { status: 'failed', outcome: toOutcome(error, 'destination') }
  }
}

async function approach(
  destination: string,
  settings: Settings,
  environment: Environment,
  call: Call,
): Promise<Opening> {
  const { dns, random } = environment
  const named = parseNextHop(destination, settings.port)
  if (named === undefined) {
    throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `not a next hop: ${JSON.stringify(destination)}`, {
      reply: { code: 550, enhanced: '5.1.2', text: 'the domain is no host name' },
    })
  }
  const hop = settings.protocol === 'lmtp' && named.lookup === 'mx' ? { ...named, lookup: 'host' as const } : named
  const exchangers = await findExchangers(hop, settings, dns, random, call)
  if (exchangers.status === 'none') return { status: 'failed', outcome: exchangers.outcome }

  const policy = await settings.tlsFor(destination, hop.host, call)
  const sts = hop.lookup === 'mx' ? await settings.mtaSts?.find(hop.host, call) : undefined
  let outcome: Outcome | undefined
  let addresses = 0
  let sessions = 0
  const { authentic } = exchangers
  for (const host of exchangers.hosts) {
    const found = await findAddresses(host, hop, settings, dns, call)
    if (found.status === 'none') {
      // One exchanger without an address says nothing about the others: a temporary failure outweighs it.
      if (addresses === 0 && (outcome === undefined || found.outcome.status === 'deferred')) outcome = found.outcome
      continue
    }
    const way = { host, port: hop.port, domain: hop.host, secure: exchangers.secure && found.secure, sts }
    const tls: Required = hop.lookup === 'unix' ? { use: 'never' } : await requirementFor(way, policy, dns, call)
    if (tls.use === 'nobody') {
      outcome = tls.outcome
      continue
    }
    for (const address of found.addresses) {
      const session = await openSession({ host, address, port: hop.port, authentic }, tls, settings, environment, call)
      if (session.status === 'open') return session
      outcome = session.outcome
      addresses += 1
      if (session.status === 'refused') sessions += 1
      if (addresses >= settings.maxAddresses || sessions >= settings.maxSessions || call.signal.aborted) {
        return { status: 'failed', outcome }
      }
    }
  }
  return { status: 'failed', outcome: outcome ?? deferred('destination', '4.4.1', `no host for ${hop.host} was tried`) }
}
