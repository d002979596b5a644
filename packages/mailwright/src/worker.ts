/** One of several processes that are one server. */

export interface Worker {
  /** From 0. A worker that is started again after a crash has the same. */
  readonly index: number
  readonly count: number
}

/** What a queue may do at once to one destination. */
export interface Concurrency {
  /** Default 5. */
  readonly initialConcurrency?: number
  /** Default 20. */
  readonly concurrencyLimit?: number
}

/**
 * A worker's share of what the server may do at once to one destination, so that a destination sees no more of several
 * workers than of one. Everybody has one at least.
 *
 * @example
 * messageQueue({ ...options, ...concurrencyShare({ index: 0, count: 4 }) }) // 2 attempts at first, at most 5
 */
export function concurrencyShare(worker: Worker | undefined, whole: Concurrency = {}): Required<Concurrency> {
  const share = (count: number): number => Math.max(1, Math.ceil(count / (worker?.count ?? 1)))
  return {
    initialConcurrency: share(whole.initialConcurrency ?? 5),
    concurrencyLimit: share(whole.concurrencyLimit ?? 20),
  }
}
