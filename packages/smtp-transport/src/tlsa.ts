/**
 * DANE for SMTP (RFC 7672, RFC 6698): TLSA records that a server's certificate must match. Usages PKIX-TA(0) and
 * PKIX-EE(1) mean nothing to SMTP and count as unusable (RFC 7672 §3.1.3), as does what we cannot read.
 */
import { createHash, X509Certificate } from 'node:crypto'
import type { TlsaRecord } from '@mailwright/core'
import { namesProblem } from './certificate-names.ts'

const DANE_TA = 2
const DANE_EE = 3
const HASHES: Readonly<Record<number, string>> = { 1: 'sha256', 2: 'sha512' }
const HASH_LENGTHS: Readonly<Record<number, number>> = { 1: 32, 2: 64 }

/** Those of the records that say something to SMTP. */
export function usableRecords(records: readonly TlsaRecord[]): readonly TlsaRecord[] {
  return records.filter(({ usage, selector, matching, data }) => {
    if (usage !== DANE_TA && usage !== DANE_EE) return false
    if (selector !== 0 && selector !== 1) return false
    return matching === 0 ? data.length > 0 : HASH_LENGTHS[matching] === data.length
  })
}

/**
 * What is wrong with the certificates a server presented, its own first; undefined when a record matches.
 *
 * DANE-EE(3): the server's own certificate or key matches; names and dates do not count (RFC 7672 §3.1.1).
 * DANE-TA(2): one that matches has issued it, through those presented, within their dates, and a name matches (§3.1.2).
 *
 * @param now ms since the epoch
 */
export function daneProblem(
  presented: readonly Uint8Array[],
  records: readonly TlsaRecord[],
  names: readonly string[],
  now: number,
): string | undefined {
  const chain = readChain(presented)
  const [own] = chain
  if (own === undefined) return 'no certificate that can be read'
  if (records.some((record) => record.usage === DANE_EE && matches(own, record))) return undefined
  const anchors = records.filter((record) => record.usage === DANE_TA)
  if (anchors.length === 0 || !isAnchored(chain, anchors, now)) return 'the certificate matches no TLSA record'
  return namesProblem(own, names)
}

function readChain(presented: readonly Uint8Array[]): readonly X509Certificate[] {
  try {
    return presented.map((der) => new X509Certificate(der))
  } catch {
    return []
  }
}

function matches(certificate: X509Certificate, { selector, matching, data }: TlsaRecord): boolean {
  const selected = selector === 0 ? certificate.raw : certificate.publicKey.export({ type: 'spki', format: 'der' })
  const hash = HASHES[matching]
  const found = hash === undefined ? selected : createHash(hash).update(selected).digest()
  return found.equals(data)
}

/** Goes from the server's certificate from issuer to issuer until one matches. The server's own may be its anchor. */
function isAnchored(chain: readonly X509Certificate[], anchors: readonly TlsaRecord[], now: number): boolean {
  let certificate = chain[0]!
  for (let step = 0; step < chain.length; step++) {
    if (!isCurrent(certificate, now)) return false
    if (anchors.some((record) => matches(certificate, record))) return true
    const issuer = chain.find((other) => other !== certificate && isIssuedBy(certificate, other))
    if (issuer === undefined) return false
    certificate = issuer
  }
  return false
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)
}

function isCurrent({ validFrom, validTo }: X509Certificate, now: number): boolean {
  return Date.parse(validFrom) <= now && now <= Date.parse(validTo)
}
