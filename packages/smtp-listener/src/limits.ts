/** How many connections are open, in all and per client network, and whether one more may be. */
export interface ConnectionLimits {
  /** Counts a connection in, or says what it exceeds. */
  admit(
    address: string,
    network?: string,
  ): 'admitted' | 'too many connections' | 'too many connections from this address'
  /** A connection that was admitted has ended. */
  release(network: string): void
}

/**
 * `exempt` addresses count in all, but have no limit of their own.
 *
 * @example
 * const limits = connectionLimits({ maxConnections: 1000, maxConnectionsPerAddress: 50, exempt: isLoopback })
 */
export function connectionLimits(limits: {
  readonly maxConnections: number
  readonly maxConnectionsPerAddress: number
  readonly exempt: (address: string) => boolean
}): ConnectionLimits {
  const perNetwork = new Map<string, number>()
  let all = 0
  return {
    admit(address, network = address): 'admitted' | 'too many connections' | 'too many connections from this address' {
      if (all >= limits.maxConnections) return 'too many connections'
      const open = perNetwork.get(network) ?? 0
      if (open >= limits.maxConnectionsPerAddress && !limits.exempt(address)) {
        return 'too many connections from this address'
      }
      all++
      perNetwork.set(network, open + 1)
      return 'admitted'
    },
    release(network): void {
      all--
      const open = perNetwork.get(network) ?? 0
      if (open > 1) perNetwork.set(network, open - 1)
      else perNetwork.delete(network)
    },
  }
}
