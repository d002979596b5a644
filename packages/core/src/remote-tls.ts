/** TLS with the servers that we deliver to: what it was, and why it was not (RFC 8460 §4.3). */

/** The TLS of a connection that mail went over. */
export interface RemoteTls {
  /** E.g. `TLSv1.3`. */
  readonly protocol: string
  readonly cipher: string
  /** `verified`: with whom the mail is for, as far as anything can tell; `encrypted`: with somebody. */
  readonly security: 'encrypted' | 'verified'
  /** What verified it. */
  readonly by?: 'authority' | 'dane' | 'fingerprint' | 'sts' | undefined
}

/** Why a session had no TLS that its policy wants, in the words of RFC 8460. */
export type TlsFailure =
  | 'certificate-expired'
  | 'certificate-host-mismatch'
  | 'certificate-not-trusted'
  | 'dane-required'
  | 'dnssec-invalid'
  | 'starttls-not-supported'
  | 'sts-policy-fetch-error'
  | 'sts-policy-invalid'
  | 'sts-webpki-invalid'
  | 'tlsa-invalid'
  | 'validation-failure'

/** What a domain says of TLS with its exchangers. */
export interface TlsDomainPolicy {
  readonly type: 'tlsa' | 'sts' | 'no-policy-found'
  /** The lines of an MTA-STS policy, or TLSA records as text; none without a policy. */
  readonly lines: readonly string[]
  /** The patterns of exchangers of an MTA-STS policy. */
  readonly mx: readonly string[]
}
