import type { Suppression, SuppressionList } from '@mailwright/core'
import { SuppressionMap } from './suppression-map.ts'

export interface MemorySuppressionsOptions {
  /** Most addresses. Beyond, `add` rejects. Default 1,000,000. */
  readonly limit?: number
}

/**
 * A suppression list in memory: for tests, and for hosts that fill it at start from where they keep it.
 *
 * @example
 * const suppressions = memorySuppressions()
 * messageQueue({ store, router, transports, hostname, suppressions })
 */
export function memorySuppressions({ limit = 1_000_000 }: MemorySuppressionsOptions = {}): SuppressionList {
  const entries = new SuppressionMap(limit)
  return {
    find: (address, now) => entries.find(address, now),
    async add(suppression: Suppression): Promise<void> {
      entries.assertRoom(suppression.address)
      entries.set(suppression)
    },
    remove: async (address) => entries.delete(address),
    list: async ({ limit: most, after }) => entries.list(most, after),
  }
}
