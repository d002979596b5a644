/**
 * MTA-STS policies (RFC 8461), fetched and read by mailauth, remembered here. A policy that is still valid goes on when DNS or
 * the policy's host gives no answer; a domain without one is asked about again after a while, not for every message.
 * Callers who ask about the same domain at the same time share one look-up.
 */
import type { Awaitable, Call, Clock, Duration, Resolver, StsPolicies, StsPolicy } from '@mailwright/core'
import { milliseconds } from '@mailwright/core'
import { mailauthResolver } from './mailauth-resolver.ts'

export interface MtaStsOptions {
  readonly dns: Resolver
  readonly clock: Clock
  /** How long an answer is used before DNS is asked whether it has changed. Default 5 min. */
  readonly recheck?: Duration
  /** Most domains remembered; the one longest unused goes first. Default 10,000. */
  readonly maxDomains?: number
  /** How policies are got. Default: mailauth's `getPolicy`, by RFC 8461 to the letter. */
  readonly fetchPolicy?: FetchPolicy
}

/** What is known of a domain, as mailauth has it. Kept as it is, and given back when the policy is asked for again. */
export interface KnownPolicy {
  readonly id: string | false
  readonly mode: StsPolicy['mode']
  readonly mx?: readonly string[]
  readonly expires?: string
}

/** Gets the policy of a domain, given what was known. Rejects only on a bug; no policy has the mode `none`. */
export type FetchPolicy = (
  domain: string,
  known: KnownPolicy | undefined,
  resolver: ReturnType<typeof mailauthResolver>,
) => Promise<KnownPolicy>

interface Entry {
  readonly known: KnownPolicy
  /** ms since the epoch. */
  readonly checkedAt: number
}

/** Nobody waits longer: mailauth itself gives up after a minute. */
const never: Call = { signal: new AbortController().signal }

/**
 * @example
 * smtpTransport({ hostname, tls: 'dane', mtaSts: mtaSts({ dns: environment.dns, clock: environment.clock }) })
 */
export function mtaSts(options: MtaStsOptions): StsPolicies {
  const { dns, clock, maxDomains = 10_000, fetchPolicy = fetchByMailauth } = options
  const recheckMs = milliseconds(options.recheck ?? '5m')
  const entries = new Map<string, Entry>()
  const underWay = new Map<string, Promise<KnownPolicy>>()
  const resolver = mailauthResolver(dns, never)

  async function fetchAgain(domain: string): Promise<KnownPolicy> {
    try {
      const known = await fetchPolicy(domain, entries.get(domain)?.known, resolver)
      remember(domain, known)
      return known
    } catch {
      // As if there were none, for now: a policy that is known and valid is what mailauth itself falls back to.
      const known: KnownPolicy = entries.get(domain)?.known ?? { id: false, mode: 'none' }
      remember(domain, known)
      return known
    } finally {
      underWay.delete(domain)
    }
  }

  function remember(domain: string, known: KnownPolicy): void {
    entries.delete(domain)
    entries.set(domain, { known, checkedAt: clock.now() })
    if (entries.size > maxDomains) entries.delete(entries.keys().next().value!)
  }

  return {
    find(domain: string, call: Call): Awaitable<StsPolicy | undefined> {
      const entry = entries.get(domain)
      if (entry !== undefined && clock.now() - entry.checkedAt < recheckMs) {
        entries.delete(domain)
        entries.set(domain, entry)
        return policyOf(entry.known)
      }
      let fetching = underWay.get(domain)
      if (fetching === undefined) {
        fetching = fetchAgain(domain)
        underWay.set(domain, fetching)
      }
      return waitFor(fetching, call)
    },
  }
}

async function fetchByMailauth(
  domain: string,
  known: KnownPolicy | undefined,
  resolver: ReturnType<typeof mailauthResolver>,
): Promise<KnownPolicy> {
  // Loaded when it is first needed: it brings much with it, and most servers never ask.
  const { getPolicy } = await import('mailauth/lib/mta-sts.js')
  const theirs = known as Parameters<typeof getPolicy>[1]
  const options = { resolver, strict: true } as Parameters<typeof getPolicy>[2]
  const { policy } = await getPolicy(domain, theirs, options)
  return policy as KnownPolicy
}

function policyOf({ mode, mx = [] }: KnownPolicy): StsPolicy | undefined {
  return mode === 'none' ? undefined : { mode, mx }
}

/** A caller that gives up ends its own wait only. */
function waitFor(fetching: Promise<KnownPolicy>, { signal }: Call): Promise<StsPolicy | undefined> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const leave = (): void => reject(signal.reason)
    signal.addEventListener('abort', leave, { once: true })
    void fetching.then((known) => {
      signal.removeEventListener('abort', leave)
      resolve(policyOf(known))
    })
  })
}
