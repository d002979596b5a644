/**
 * What TLS one session with one host needs: the destination's policy, its MTA-STS policy and the host's TLSA records
 * brought together. DANE goes before MTA-STS, and neither is ever less than what the operator asks for (RFC 8461 §2).
 *
 * DNS that does not answer, or whose answer does not validate, is never a reason for less TLS: the host is left for later.
 */
import { createHash, X509Certificate } from 'node:crypto'
import type {
  Call,
  Outcome,
  Resolver,
  SecureWire,
  StsPolicy,
  TlsaRecord,
  TlsDomainPolicy,
  TlsFailure,
} from '@mailwright/core'
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
  /** What the domain itself says, for reports. */
  readonly policy?: TlsDomainPolicy | undefined
  /** A proof that is only reported about: an MTA-STS policy in testing. */
  readonly watched?: Proof | undefined
  /** What is to be reported of this host, although mail may go there. */
  readonly doubt?: TlsFailure | undefined
}

/** A requirement, or why this host must not be used. */
export type Required = TlsRequirement | Unfit

export interface Unfit {
  readonly use: 'nobody'
  readonly outcome: Outcome
  readonly failure: TlsFailure
  readonly policy?: TlsDomainPolicy | undefined
}

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
      if (level === 'dane-only') return nobody(`host ${host} has no usable TLSA records`, 'dane-required')
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
  if (answer.status === 'failed') return nobody(`no answer from DNS to the TLSA query for ${host}`, 'dnssec-invalid')
  if (answer.status === 'none' || !answer.secure) return undefined
  const records = usableRecords(answer.records)
  // Records none of which can be used still say that the host has TLS (RFC 7672 §2.2).
  const policy = daneFacts(answer.records)
  if (records.length === 0) return { use: 'mandatory', policy }
  return { use: 'mandatory', policy, proof: { by: 'dane', records, names: [host, domain] } }
}

function byPolicyOfDomain(
  { host, domain, sts }: HostOnTheWay,
  { minVersion, ca }: TlsPolicy,
  use: 'opportunistic' | 'mandatory',
): Required {
  if (sts === undefined || sts.mode === 'none') return { use, minVersion }
  const policy = stsFacts(sts)
  const named = sts.mx.some((pattern) => isMeant(pattern, host))
  const proof: Proof = { by: 'authority', names: [host], ca, vouched: 'yes' }
  if (sts.mode === 'testing') {
    return named
      ? { use, minVersion, policy, watched: proof }
      : { use, minVersion, policy, doubt: 'validation-failure' }
  }
  if (!named) {
    return { ...nobody(`the MTA-STS policy of ${domain} does not name ${host}`, 'validation-failure'), policy }
  }
  return { use: 'mandatory', minVersion, policy, proof }
}

/** A policy as a report quotes it (RFC 8460 §4.4). */
function stsFacts({ mode, mx }: StsPolicy): TlsDomainPolicy {
  return { type: 'sts', lines: ['version: STSv1', `mode: ${mode}`, ...mx.map((host) => `mx: ${host}`)], mx }
}

function daneFacts(records: readonly TlsaRecord[]): TlsDomainPolicy {
  const lines = records.map(
    ({ usage, selector, matching, data }) =>
      `${usage} ${selector} ${matching} ${Buffer.from(data).toString('hex').toUpperCase()}`,
  )
  return { type: 'tlsa', lines, mx: [] }
}

/** `*.example.org` stands for one label more (RFC 8461 §4.1). */
function isMeant(pattern: string, host: string): boolean {
  if (!pattern.startsWith('*.')) return pattern === host
  const dot = host.indexOf('.')
  return dot > 0 && host.slice(dot) === pattern.slice(1)
}

/** What is wrong with what a server showed, in words and as reports have it. */
export interface ProofProblem {
  readonly text: string
  readonly failure: TlsFailure
}

/** Undefined when a server showed what was asked for. `now`: ms since the epoch. */
export function proofProblem(proof: Proof | undefined, secured: SecureWire, now: number): ProofProblem | undefined {
  switch (proof?.by) {
    case undefined:
      return undefined
    case 'dane':
      return problem(daneProblem(secured.presented(), proof.records, proof.names, now), 'validation-failure')
    case 'authority': {
      const [own] = secured.presented()
      if (own === undefined) return problem('no certificate', 'validation-failure')
      const certificate = new X509Certificate(own)
      if (secured.trusted) return problem(namesProblem(certificate, proof.names), 'certificate-host-mismatch')
      const isExpired = Date.parse(certificate.validTo) < now
      const failure = isExpired ? 'certificate-expired' : 'certificate-not-trusted'
      return problem('the certificate is from nobody we trust', failure)
    }
    case 'fingerprint': {
      const [own] = secured.presented()
      return own !== undefined && fingerprintsOf(own).some((each) => proof.fingerprints.includes(each))
        ? undefined
        : problem('the certificate has none of the fingerprints', 'certificate-not-trusted')
    }
  }
}

function problem(text: string | undefined, failure: TlsFailure): ProofProblem | undefined {
  return text === undefined ? undefined : { text, failure }
}

/** Of the certificate and of its public key. */
function fingerprintsOf(der: Uint8Array): readonly string[] {
  const key = new X509Certificate(der).publicKey.export({ type: 'spki', format: 'der' })
  return [der, key].map((bytes) => createHash('sha256').update(bytes).digest('hex'))
}

function nobody(text: string, failure: TlsFailure): Unfit {
  return { use: 'nobody', outcome: deferred('destination', '4.7.5', text), failure }
}
