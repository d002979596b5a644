/**
 * What TLS one session with one host needs: the destination's policy, its MTA-STS policy and the host's TLSA records
 * brought together. DANE goes before MTA-STS, and neither is ever less than what the operator asks for (RFC 8461 §2).
 *
 * DNS that does not answer, or whose answer does not validate, is never a reason for less TLS: the host is left for later.
 */
import { createHash, X509Certificate } from 'node:crypto'
import type { Call, Outcome, Resolver, SecureWire, StsPolicy, TlsaRecord } from '@mailwright/core'
import { namesProblem } from './certificate-names.ts'
import { deferred } from './delivery.ts'
import type { TlsPolicy } from './tls-policy.ts'
import { daneProblem, usableRecords } from './tlsa.ts'

/** What a server's certificate has to show. */
export type Proof =
  | { readonly by: 'fingerprint'; readonly fingerprints: readonly string[] }
  | {
      readonly by: 'authority'
      readonly names: readonly string[]
      readonly ca: readonly string[] | undefined
      /** Whether somebody other than DNS says that these names are the right ones. */
      readonly vouched: 'yes' | 'no'
    }
  | { readonly by: 'dane'; readonly records: readonly TlsaRecord[]; readonly names: readonly string[] }

export interface TlsRequirement {
  readonly use: 'never' | 'opportunistic' | 'mandatory'
  readonly proof?: Proof | undefined
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3' | undefined
}

/** A requirement, or why this host must not be used. */
export type Required = TlsRequirement | { readonly use: 'nobody'; readonly outcome: Outcome }

/** A host on the way to a destination. */
export interface HostOnTheWay {
  readonly host: string
  readonly port: number
  /** The destination's domain. */
  readonly domain: string
  /** Whether DNSSEC vouches for the way from the domain to the host, and for the host's addresses. */
  readonly secure: boolean
  readonly sts: StsPolicy | undefined
}

/** What a session with the host needs. */
export async function requirementFor(
  way: HostOnTheWay,
  policy: TlsPolicy,
  dns: Resolver,
  call: Call,
): Promise<Required> {
  const { level, minVersion } = policy
  const { host, domain } = way
  switch (level) {
    case 'none':
      return { use: 'never' }
    case 'fingerprint':
      return { use: 'mandatory', minVersion, proof: { by: 'fingerprint', fingerprints: policy.fingerprints ?? [] } }
    case 'verify':
      return {
        use: 'mandatory',
        minVersion,
        proof: {
          by: 'authority',
          names: policy.names ?? [host],
          ca: policy.ca,
          vouched: policy.names === undefined ? 'no' : 'yes',
        },
      }
    case 'secure':
      return {
        use: 'mandatory',
        minVersion,
        proof: { by: 'authority', names: policy.names ?? [domain, `.${domain}`], ca: policy.ca, vouched: 'yes' },
      }
    case 'dane':
    case 'dane-only': {
      const dane = await daneRequirement(way, dns, call)
      if (dane !== undefined) return 'outcome' in dane ? dane : { ...dane, minVersion }
      if (level === 'dane-only') return nobody(`host ${host} has no usable TLSA records`)
      return byPolicyOfDomain(way, policy, 'opportunistic')
    }
    case 'may':
      return byPolicyOfDomain(way, policy, 'opportunistic')
    case 'encrypt':
      return byPolicyOfDomain(way, policy, 'mandatory')
  }
}

/** Undefined where DANE has nothing to say. */
async function daneRequirement(
  { host, port, domain, secure }: HostOnTheWay,
  dns: Resolver,
  call: Call,
): Promise<Required | undefined> {
  // Without DNSSEC on the way nobody asks for TLSA: whoever forges the way forges them too (RFC 7672 §2.2.2).
  if (!secure) return undefined
  const answer = await dns.resolve(`_${port}._tcp.${host}`, 'TLSA', call)
  if (answer.status === 'failed') return nobody(`no answer from DNS to the TLSA query for ${host}`)
  if (answer.status === 'none' || !answer.secure) return undefined
  const records = usableRecords(answer.records)
  // Records none of which can be used still say that the host has TLS (RFC 7672 §2.2).
  if (records.length === 0) return { use: 'mandatory' }
  return { use: 'mandatory', proof: { by: 'dane', records, names: [host, domain] } }
}

function byPolicyOfDomain(
  { host, domain, sts }: HostOnTheWay,
  { minVersion, ca }: TlsPolicy,
  use: 'opportunistic' | 'mandatory',
): Required {
  if (sts?.mode !== 'enforce') return { use, minVersion }
  if (!sts.mx.some((pattern) => isMeant(pattern, host)))
    return nobody(`the MTA-STS policy of ${domain} does not name ${host}`)
  return { use: 'mandatory', minVersion, proof: { by: 'authority', names: [host], ca, vouched: 'yes' } }
}

/** `*.example.org` stands for one label more (RFC 8461 §4.1). */
function isMeant(pattern: string, host: string): boolean {
  if (!pattern.startsWith('*.')) return pattern === host
  const dot = host.indexOf('.')
  return dot > 0 && host.slice(dot) === pattern.slice(1)
}

/** What is wrong with what a server showed; undefined when it is what was asked for. `now`: ms since the epoch. */
export function proofProblem(proof: Proof | undefined, secured: SecureWire, now: number): string | undefined {
  switch (proof?.by) {
    case undefined:
      return undefined
    case 'dane':
      return daneProblem(secured.presented(), proof.records, proof.names, now)
    case 'authority': {
      const [own] = secured.presented()
      if (own === undefined) return 'no certificate'
      return secured.trusted
        ? namesProblem(new X509Certificate(own), proof.names)
        : 'the certificate is from nobody we trust'
    }
    case 'fingerprint': {
      const [own] = secured.presented()
      return own !== undefined && fingerprintsOf(own).some((each) => proof.fingerprints.includes(each))
        ? undefined
        : 'the certificate has none of the fingerprints'
    }
  }
}

/** Of the certificate and of its public key. */
function fingerprintsOf(der: Uint8Array): readonly string[] {
  const key = new X509Certificate(der).publicKey.export({ type: 'spki', format: 'der' })
  return [der, key].map((bytes) => createHash('sha256').update(bytes).digest('hex'))
}

function nobody(text: string): Required {
  return { use: 'nobody', outcome: deferred('destination', '4.7.5', text) }
}
