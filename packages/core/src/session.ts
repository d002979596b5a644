/** What is known of a client connection. Policies read it; only the dialogue writes it. */

export interface TlsFacts {
  readonly protocol: string
  readonly cipher: string
  /** The name the client asked for, if it asked for one. */
  readonly servername?: string
  /** Whether an earlier session was resumed. */
  readonly resumed?: boolean
  /** The certificate the client showed, if it was asked for one and had one. */
  readonly clientCertificate?: ClientCertificate
}

/** A client's certificate: facts for policies, not yet a decision. Fingerprints are SHA-256, lower-case hexadecimal. */
export interface ClientCertificate {
  readonly subject: string
  readonly issuer: string
  readonly fingerprint: string
  /** Of the public key alone: survives renewal with the same key. */
  readonly publicKeyFingerprint: string
  /** Whether it verified against the listener's `ca`. */
  readonly verified: boolean
}

/**
 * What a listener is for. `mx` takes mail from strangers for us. `submission` takes mail from our users: TLS and
 * authentication are required, and missing Date and Message-ID are added (RFC 6409). `relay` is for hosts we know.
 */
export type Profile = 'mx' | 'submission' | 'relay'

export interface Peer {
  /** IP address, without zone; IPv4-mapped IPv6 addresses appear as IPv4. */
  readonly address: string
  readonly port: number
}

/** How a client is connected. */
export interface Session {
  readonly id: string
  readonly protocol: 'smtp' | 'lmtp'
  readonly profile: Profile
  readonly client: Peer
  readonly server: Peer
  /** When the connection came, ms since the epoch. */
  readonly openedAt: number
  /** The argument of HELO, EHLO or LHLO. */
  readonly helo?: string | undefined
  /** Whether the client greeted with EHLO or LHLO. */
  readonly extended: boolean
  readonly tls?: TlsFacts | undefined
  /** The authenticated user. */
  readonly user?: string | undefined
  /** How the user authenticated: `SCRAM-SHA-256`. */
  readonly mechanism?: string | undefined
  /** The host that speaks for the client: a proxy (PROXY protocol), or a trusted host that told us (XCLIENT). */
  readonly via?: Peer | undefined
  /** The client's host name as a trusted host gave it (XCLIENT, XFORWARD). Nobody else's word is kept here. */
  readonly clientName?: string | undefined
}
