/** A queue over a store that outlives it: on a manual clock, with a scripted transport, and with restarts. */
import type { Lifecycle, QueueEntry, QueueStore, Routing } from '@mailwright/core'
import { type MessageQueue, type MessageQueueOptions, messageQueue } from '@mailwright/queue'
import {
  type ManualClock,
  manualClock,
  type OutcomeScript,
  type ScriptedTransport,
  scriptedTransport,
  type TestJob,
  type TestScope,
  testEnvironment,
  testJob,
  testScope,
} from '@mailwright/testing'

/** A kind of store: a place of its own, that can be opened again and again. */
export interface StorePlace {
  /** Opens what is in the place. */
  open(): QueueStore & { readonly busy?: () => boolean }
  dispose(): Promise<void>
}

export interface LifeOptions extends Partial<Omit<MessageQueueOptions, 'router' | 'store' | 'transports'>> {
  readonly outcomes?: OutcomeScript
  /** Where a recipient goes, asked each time; without an answer to its domain. */
  readonly route?: (address: string) => Routing | undefined
}

export interface QueueLife {
  readonly clock: ManualClock
  readonly scope: TestScope
  readonly smtp: ScriptedTransport
  readonly queue: MessageQueue
  send(job?: TestJob): Promise<void>
  entries(): Promise<readonly QueueEntry[]>
  /** Stops everything, and starts again over what the store kept. */
  restart(): Promise<void>
  end(): Promise<void>
}

const CALL = { signal: new AbortController().signal }

export async function queueLife(place: StorePlace, options: LifeOptions = {}): Promise<QueueLife> {
  const { outcomes = { '*': 'ok' }, route, ...rest } = options
  let store = place.open()
  const clock = manualClock(undefined, { busy: () => store.busy?.() ?? false })
  const environment = testEnvironment({ clock })
  const scope = testScope({ environment })
  const smtp = scriptedTransport({ name: 'smtp', outcomes, clock })
  const make = (): MessageQueue & Lifecycle =>
    messageQueue({
      hostname: 'mx.example.org',
      router: {
        route: ({ local, domain }) =>
          route?.(`${local}@${domain}`) ?? { kind: 'send', lane: { transport: 'smtp', destination: domain } },
        destination: () => ({ kind: 'elsewhere', refusal: null }),
      },
      transports: { smtp },
      ...rest,
      store,
    }).create(scope)
  let queue = make()
  let sent = 0
  await clock.until(queue.start!(CALL))
  const stop = async (): Promise<void> => {
    await clock.until(queue.drain!(CALL))
    await clock.until(queue.stop!())
  }
  return {
    clock,
    scope,
    smtp,
    get queue() {
      return queue
    },
    async send(job: TestJob = {}) {
      sent += 1
      const given = testJob({ id: `m${sent}`, arrivedAt: clock.now(), ...job })
      const outcomes = await clock.until(queue.deliver(given, CALL))
      for (const outcome of outcomes.values()) if (outcome.status !== 'ok') throw new Error('not taken')
      await clock.settle()
    },
    entries: () => clock.until(queue.entries({ limit: 100 })),
    async restart() {
      await stop()
      store = place.open()
      queue = make()
      await clock.until(queue.start!(CALL))
      await clock.settle()
    },
    async end() {
      await stop()
      if (clock.pending > 0) throw new Error(`${clock.pending} timers are left`)
    },
  }
}
