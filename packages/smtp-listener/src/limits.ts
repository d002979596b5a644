/** How many connections are open, in all and per client address, and whether one more may be. */
export interface ConnectionLimits {
  /** Counts a connection in, or says what it exceeds. */
  admit(address: string): 'admitted' | 'too many connections' | 'too many connections from this address'
  /** A connection that was admitted has ended. */
  release(address: string): void
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
  const perAddress = new Map<string, number>()
  let all = 0
  return {
    admit(address): 'admitted' | 'too many connections' | 'too many connections from this address' {
      if (all >= limits.maxConnections) return 'too many connections'
      const open = perAddress.get(address) ?? 0
      if (open >= limits.maxConnectionsPerAddress && !limits.exempt(address)) {
        return 'too many connections from this address'
      }
      all++
      perAddress.set(address, open + 1)
      return 'admitted'
    },
    release(address): void {
      all--
      const open = perAddress.get(address) ?? 0
      if (open > 1) perAddress.set(address, open - 1)
      else perAddress.delete(address)
    },
  }
}
