/** What is known of a client connection. Policies read it; only the dialogue writes it. */

export interface TlsFacts {
  readonly protocol: string
  readonly cipher: string
  /** The name the client asked for, if it asked for one. */
  readonly servername?: string
}

export interface Peer {
  /** IP address, without zone; IPv4-mapped IPv6 addresses appear as IPv4. */
  readonly address: string
  readonly port: number
}

/** How a client is connected. */
export interface Session {
  readonly id: string
  readonly protocol: 'smtp' | 'lmtp'
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
}
