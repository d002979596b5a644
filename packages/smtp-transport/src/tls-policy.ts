/**
 * What TLS a destination needs, as the operator says it, in Postfix's levels:
 *
 * - `none`: never TLS. `may`: where offered, else clear text. `encrypt`: always, with any certificate.
 * - `fingerprint`: a certificate or key we know. `verify`: one for the exchanger's name, from an authority we trust.
 *   `secure`: one for the destination's own name, which DNS cannot forge.
 * - `dane`: by TLSA records where the destination has them securely; otherwise `may`. `dane-only`: or not at all.
 */
import { type Awaitable, type Call, MailwrightError } from '@mailwright/core'

export type TlsLevel = 'none' | 'may' | 'encrypt' | 'fingerprint' | 'verify' | 'secure' | 'dane' | 'dane-only'

export interface TlsPolicy {
  readonly level: TlsLevel
  /** For `fingerprint`: SHA-256 of the certificate or of its public key, hexadecimal, colons or not. */
  readonly fingerprints?: readonly string[] | undefined
  /**
   * For `verify` and `secure`: names the certificate may be for; `.example.com` for every host below. Default for
   * `verify` the exchanger's name; for `secure` the destination and every host below it.
   */
  readonly names?: readonly string[] | undefined
  /** Authorities, PEM. Default: those of Node. */
  readonly ca?: readonly string[] | undefined
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3' | undefined
}

/**
 * One for all destinations; or a table by next hop as lanes write it, by its domain, or by `.parent`, with `'*'` for all
 * others; or a function, whose undefined means `may`.
 */
export type TlsPolicies =
  | TlsLevel
  | TlsPolicy
  | Readonly<Record<string, TlsLevel | TlsPolicy>>
  | ((destination: string, call: Call) => Awaitable<TlsLevel | TlsPolicy | undefined>)

/** Finds the policy of a next hop, given as the lane writes it and as its domain or host. */
export type TlsPolicyFinder = (destination: string, host: string, call: Call) => Awaitable<TlsPolicy>

const LEVELS: ReadonlySet<unknown> = new Set<TlsLevel>([
  'none',
  'may',
  'encrypt',
  'fingerprint',
  'verify',
  'secure',
  'dane',
  'dane-only',
])
const MAY: TlsPolicy = { level: 'may' }
const FINGERPRINT = /^[0-9a-f]{64}$/

/** @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for a policy that cannot work. */
export function tlsPolicyFinder(policies: TlsPolicies): TlsPolicyFinder {
  if (typeof policies === 'function') {
    return async (destination, _host, call) => policyOf((await policies(destination, call)) ?? MAY)
  }
  if (typeof policies === 'string' || isPolicy(policies)) {
    const policy = policyOf(policies)
    return () => policy
  }
  const table = new Map(Object.entries(policies).map(([key, value]) => [key.toLowerCase(), policyOf(value)]))
  return (destination, host) => {
    for (const key of keysOf(destination.toLowerCase(), host)) {
      const policy = table.get(key)
      if (policy !== undefined) return policy
    }
    return table.get('*') ?? MAY
  }
}

/** As written, the host alone, then the domains above it. */
function* keysOf(destination: string, host: string): Generator<string> {
  yield destination
  yield host
  for (let dot = host.indexOf('.'); dot >= 0; dot = host.indexOf('.', dot + 1)) yield host.slice(dot)
}

function isPolicy(value: TlsPolicies): value is TlsPolicy {
  return typeof value === 'object' && LEVELS.has((value as { readonly level?: unknown }).level)
}

function policyOf(given: TlsLevel | TlsPolicy): TlsPolicy {
  const policy = typeof given === 'string' ? { level: given } : given
  if (!LEVELS.has(policy.level)) throw unusable(`no TLS level: ${JSON.stringify(policy.level)}`)
  if (policy.level !== 'fingerprint') return policy
  const fingerprints = (policy.fingerprints ?? []).map((text) => text.replaceAll(':', '').toLowerCase())
  if (fingerprints.length === 0) throw unusable('the level fingerprint needs fingerprints')
  const wrong = fingerprints.find((text) => !FINGERPRINT.test(text))
  if (wrong !== undefined) throw unusable(`no SHA-256 fingerprint: ${wrong}`)
  return { ...policy, fingerprints }
}

function unusable(problem: string): MailwrightError {
  return new MailwrightError('ERR_MAILWRIGHT_CONFIG', `smtpTransport: ${problem}`)
}
