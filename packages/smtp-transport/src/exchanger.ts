/**
 * Which hosts take mail for a domain (RFC 5321 §5.1, RFC 7505), and their addresses. DNS that gives no answer is a
 * deferral; DNS that answers "nobody" is a failure, except for a host the operator named: his mistake must not bounce
 * mail. Keeps nothing: caching is the resolver's.
 */
import { type Call, type DnsAnswer, type Outcome, type Random, type Resolver, randomInt } from '@mailwright/core'
import { mayFollow } from './address-range.ts'
import { deferred, failed } from './delivery.ts'
import type { NextHop } from './next-hop.ts'
import type { AddressFamilies, Settings } from './options.ts'

export type Exchangers =
  /**
   * Hosts to try, the best first. `authentic`: their names are the operator's, the domain itself, or from secure DNS, so
   * that a certificate for the name proves who they are. `secure`: DNSSEC vouches for them, or the operator named them.
   */
  | {
      readonly status: 'found'
      readonly hosts: readonly string[]
      readonly authentic: 'yes' | 'no'
      readonly secure: boolean
    }
  | { readonly status: 'none'; readonly outcome: Outcome }

export type HostAddresses =
  | { readonly status: 'found'; readonly addresses: readonly string[]; readonly secure: boolean }
  | { readonly status: 'none'; readonly outcome: Outcome }

type Surroundings = Pick<Settings, 'hostname' | 'mxAddresses' | 'addressFamilies'>

/** The hosts for a next hop. Hosts of equal preference come in random order; those from ourselves on are left out. */
export async function findExchangers(
  hop: NextHop,
  settings: Surroundings,
  dns: Resolver,
  random: Random,
  call: Call,
): Promise<Exchangers> {
  if (hop.lookup !== 'mx') return { status: 'found', hosts: [hop.host], authentic: 'yes', secure: true }
  const answer = await dns.resolve(hop.host, 'MX', call)
  if (answer.status === 'failed') return none(unanswered(hop.host, 'MX', answer.cause))
  if (answer.status === 'none') {
    if (answer.reason === 'no-name') return none(failed(550, '5.1.2', `domain ${hop.host} does not exist`))
    // The implicit MX: the domain's own address, as if it were its only exchanger.
    return { status: 'found', hosts: [hop.host], authentic: 'yes', secure: answer.secure }
  }

  const records = answer.records.filter((record) => record.exchange !== '')
  if (records.length === 0) return none(failed(556, '5.1.10', `domain ${hop.host} takes no mail (null MX)`))
  const own = records.filter((record) => isOurs(record.exchange, settings))
  const nearest = Math.min(...own.map((record) => record.preference))
  const better = records.filter((record) => record.preference < nearest)
  if (better.length === 0) return none(looped(hop.host))
  const authentic = answer.secure ? 'yes' : 'no'
  return { status: 'found', hosts: shuffledByPreference(better, random), authentic, secure: answer.secure }
}

/** The addresses of a host, in the order of preference. Never empty when found. */
export async function findAddresses(
  host: string,
  hop: NextHop,
  settings: Surroundings,
  dns: Resolver,
  call: Call,
): Promise<HostAddresses> {
  if (hop.lookup === 'none' || hop.lookup === 'unix') return { status: 'found', addresses: [host], secure: false }
  const answers = await Promise.all(
    familiesOf(settings.addressFamilies).map((type) => dns.resolve(host, type, call) as Promise<DnsAnswer<string>>),
  )
  const found = answers.flatMap((answer) => (answer.status === 'found' ? answer.records : []))
  const addresses =
    hop.lookup === 'mx' ? found.filter((address) => mayFollow(address, settings.mxAddresses)) : [...found]
  const secure = answers.every((answer) => answer.status !== 'failed' && answer.secure)
  if (addresses.length > 0) return { status: 'found', addresses, secure }
  if (found.length > 0) return none(looped(hop.host))

  const failure = answers.find((answer) => answer.status === 'failed')
  if (failure?.status === 'failed') return none(unanswered(host, 'address', failure.cause))
  return hop.lookup === 'host'
    ? none(deferred('destination', '4.4.4', `host ${host} has no address`))
    : none(failed(550, '5.4.4', `mail exchanger ${host} of ${hop.host} has no address`))
}

function familiesOf(families: AddressFamilies): readonly ('A' | 'AAAA')[] {
  switch (families) {
    case 'ipv4-first':
      return ['A', 'AAAA']
    case 'ipv6-first':
      return ['AAAA', 'A']
    case 'ipv4':
      return ['A']
    case 'ipv6':
      return ['AAAA']
  }
}

function isOurs(exchange: string, settings: Surroundings): boolean {
  return exchange.toLowerCase() === settings.hostname.toLowerCase()
}

function shuffledByPreference(
  records: readonly { readonly preference: number; readonly exchange: string }[],
  random: Random,
): string[] {
  const order = [...records]
  for (let last = order.length - 1; last > 0; last--) {
    const other = randomInt(random, last + 1)
    const moved = order[last]!
    order[last] = order[other]!
    order[other] = moved
  }
  // The sort is stable: among equals the shuffled order stays.
  return order.sort((one, other) => one.preference - other.preference).map((record) => record.exchange)
}

function none(outcome: Outcome): { readonly status: 'none'; readonly outcome: Outcome } {
  return { status: 'none', outcome }
}

function looped(domain: string): Outcome {
  return failed(554, '5.4.6', `mail for ${domain} loops back to myself`)
}

function unanswered(name: string, what: string, cause: string): Outcome {
  return deferred('destination', '4.4.3', `no answer from DNS to the ${what} query for ${name}`, cause)
}
