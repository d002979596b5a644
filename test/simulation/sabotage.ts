/** Bugs to put into a system on purpose, so that it can be seen whether the simulation would notice them. */
import type { DeliveryJob, Outcome, QueueStore, RecipientId, Settlement, Transport } from '@mailwright/core'
import { delivered } from '@mailwright/testing'

export interface Sabotage {
  readonly store?: (inner: QueueStore) => QueueStore
  /** Of the transports that deliver out of the last server. */
  readonly transport?: (inner: Transport) => Transport
}

/** Says that it stored the notice, and did not. */
export function losesNotices(): Sabotage {
  return { store: (inner) => withSettle(inner, ({ also: _lost, ...kept }) => kept) }
}

/** Says that it wrote down what became of the recipients; every fourth time it did not. */
export function forgetsSettlements(): Sabotage {
  let count = 0
  return {
    store: (inner) =>
      withSettle(inner, (settlement) => (++count % 4 === 0 ? { ...settlement, outcomes: new Map() } : settlement)),
  }
}

/** Answers before the message is stored, and then does not store it: every fourth time. */
export function losesMail(): Sabotage {
  let count = 0
  return {
    store: (inner) =>
      override(inner, {
        put: (message, source, claim, call) =>
          ++count % 4 === 0 ? Promise.resolve([]) : inner.put(message, source, claim, call),
      }),
  }
}

/** What was in the store is gone after a crash. */
export function forgetsAtOpen(): Sabotage {
  return {
    store: (inner) =>
      override(inner, {
        async open(events) {
          await inner.open(events)
          await inner.remove({})
        },
      }),
  }
}

/** Delivers each message twice. */
export function deliversTwice(): Sabotage {
  return {
    transport: (inner) => ({
      name: inner.name,
      async deliver(job: DeliveryJob, call): Promise<ReadonlyMap<RecipientId, Outcome>> {
        await inner.deliver(job, call)
        return inner.deliver(job, call)
      },
    }),
  }
}

/** Takes "not now" for "done". */
export function takesDeferralForDone(): Sabotage {
  return {
    transport: (inner) => ({
      name: inner.name,
      async deliver(job: DeliveryJob, call): Promise<ReadonlyMap<RecipientId, Outcome>> {
        const outcomes = await inner.deliver(job, call)
        return new Map([...outcomes].map(([id, said]) => [id, said.status === 'deferred' ? delivered() : said]))
      },
    }),
  }
}

function withSettle(inner: QueueStore, change: (settlement: Settlement) => Settlement): QueueStore {
  return override(inner, { settle: (claim, settlement) => inner.settle(claim, change(settlement)) })
}

/** The store with some methods replaced. The others are called on the store itself, which has private state. */
function override(inner: QueueStore, methods: Partial<QueueStore>): QueueStore {
  return new Proxy(inner, {
    get(target, name): unknown {
      const replaced: unknown = Reflect.get(methods, name)
      if (replaced !== undefined) return replaced
      const own: unknown = Reflect.get(target, name)
      return typeof own === 'function' ? own.bind(target) : own
    },
  })
}
