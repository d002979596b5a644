/** A host's address to talk to, and its name in outcomes. */

export interface Target {
  /** The host's name, or its address where there is no name. */
  readonly host: string
  /** An IP address, or the path of a unix socket. */
  readonly address: string
  readonly port: number
  /** Whether the host's name can be relied on: a name from insecure DNS may be anybody's. */
  readonly authentic: 'yes' | 'no'
}

/** A socket of this machine: nobody is between. */
export function isUnix({ address }: Pick<Target, 'address'>): boolean {
  return address.startsWith('/')
}

/** `mx.example.org[192.0.2.1]:25`, or `unix:/path`. */
export function labelOf({ host, address, port }: Omit<Target, 'authentic'>): string {
  return isUnix({ address }) ? `unix:${address}` : `${host}[${address}]:${port}`
}
