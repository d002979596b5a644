/** A queue store some of whose methods fail, or hang, while the test wants them to. */
import type { QueueStore } from '@mailwright/core'

export type Faults = Partial<QueueStore>

export interface FaultyStore {
  readonly store: QueueStore
  /** What stands in for the store's own methods from now on; `{}` heals it. */
  break(faults: Faults): void
}

/** Wraps a store. What is broken may still use the store itself. */
export function faultyStore(inner: QueueStore): FaultyStore {
  let faults: Faults = {}
  const store = new Proxy(inner, {
    get(target, key: keyof QueueStore) {
      return faults[key] ?? (target[key] as (...given: readonly unknown[]) => unknown).bind(target)
    },
  })
  return {
    store,
    break(given: Faults): void {
      faults = given
    },
  }
}
