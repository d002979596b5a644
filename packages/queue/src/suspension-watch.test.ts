/** What is suspended: kept by the store, followed by the queue, told in events, ended in time. */
import type { QueueStore, Suspension, SuspensionScope } from '@mailwright/core'
import { testEnvironment, testScope } from '@mailwright/testing'
import { afterEach, describe, expect, it } from 'vitest'
import { memoryStore } from './memory-store.ts'
import { SuspensionWatch } from './suspension-watch.ts'
import { type Faults, faultyStore } from './testing-support/faulty-store.ts'
import { caredFor, queueBench } from './testing-support/queue-bench.ts'

const MINUTE = 60_000
const LANE: SuspensionScope = { kind: 'lane', lane: 'smtp:example.org' }
const TENANT: SuspensionScope = { kind: 'label', label: 'tenant', value: 'acme' }
const started = caredFor()

const watches: SuspensionWatch[] = []
afterEach(async () => {
  for (const watch of watches.splice(0)) await watch.stop()
})

/** A watch over a store, and what it had the dispatcher follow. */
async function watching(inner: QueueStore = memoryStore()) {
  const environment = testEnvironment()
  const scope = testScope({ environment })
  const { clock } = environment
  const { store, faults }: { store: QueueStore; faults: Faults } = faultyStore(inner)
  await inner.open(scope.events)
  const applied: (readonly Suspension[])[] = []
  const watch = new SuspensionWatch({
    store,
    clock,
    events: scope.events,
    apply: (suspensions) => void applied.push(suspensions),
  })
  watches.push(watch)
  const suspend = (what: SuspensionScope, until?: number): Promise<void> =>
    store.suspend({ scope: what, reason: 'operator', since: clock.now(), ...(until === undefined ? {} : { until }) })
  const told = (): string[] =>
    scope.events.all.flatMap((event) =>
      event.type === 'queue.suspended'
        ? [`suspended ${event.suspension.scope.kind}`]
        : event.type === 'queue.resumed'
          ? [`resumed ${event.scope.kind}`]
          : [],
    )
  return { scope, clock, store, faults, watch, applied, suspend, told }
}

describe('a suspension', () => {
  it('that is in the store at start is in force before anything is tried', async () => {
    const { watch, suspend, applied, told } = await watching()
    await suspend(LANE)
    await watch.start()
    expect(applied).toMatchObject([[{ scope: LANE }]])
    expect(told()).toEqual(['suspended lane'])
  })

  it('is followed when an operator makes and ends it, by whatever hands', async () => {
    const { watch, store, clock, suspend, applied, told } = await watching()
    await watch.start()
    expect(applied).toEqual([])
    await suspend(LANE)
    await suspend(TENANT)
    await clock.settle()
    expect(applied.at(-1)).toMatchObject([{ scope: TENANT }, { scope: LANE }])
    await store.resume(LANE)
    await clock.settle()
    expect(applied.at(-1)).toMatchObject([{ scope: TENANT }])
    expect(told()).toEqual(['suspended lane', 'suspended label', 'resumed lane'])
  })

  it('is told once, and again when it changes', async () => {
    const { watch, clock, suspend, scope, applied } = await watching()
    await watch.start()
    await suspend(LANE)
    await clock.settle()
    await watch.refresh()
    await watch.refresh()
    expect(applied).toHaveLength(1)
    await suspend(LANE, clock.now() + MINUTE)
    await clock.settle()
    expect(scope.events.of('queue.suspended').map((event) => event.suspension.until)).toEqual([
      undefined,
      clock.now() + MINUTE,
    ])
  })

  it('ends when its time is over, for good', async () => {
    const { watch, clock, store, suspend, applied, told } = await watching()
    await watch.start()
    await suspend(LANE, clock.now() + 10 * MINUTE)
    await suspend(TENANT, clock.now() + 20 * MINUTE)
    await clock.advance('9m')
    expect(applied.at(-1)).toHaveLength(2)
    await clock.advance('1m')
    expect(applied.at(-1)).toMatchObject([{ scope: TENANT }])
    expect(await store.suspensions()).toMatchObject([{ scope: TENANT }])
    await clock.advance('10m')
    expect(applied.at(-1)).toEqual([])
    expect(told()).toEqual(['suspended lane', 'suspended label', 'resumed lane', 'resumed label'])
    expect(clock.pending).toBe(0)
  })

  it('whose time was over while nothing ran is never in force', async () => {
    const { watch, clock, store, suspend, applied, told } = await watching()
    await suspend(LANE, clock.now() - 1)
    await watch.start()
    expect([applied, told(), await store.suspensions()]).toEqual([[], [], []])
  })

  it('stays in force while the store cannot be read, which is tried again', async () => {
    const { watch, clock, store, faults, suspend, applied, scope } = await watching()
    await suspend(LANE)
    await watch.start()
    faults.fail('suspensions', 2)
    await store.resume(LANE)
    await clock.settle()
    expect(applied).toHaveLength(1)
    await clock.advance('1s')
    expect(applied).toHaveLength(1)
    await clock.advance('1s')
    expect(applied.at(-1)).toEqual([])
    expect(scope.events.of('failure').map(({ where }) => where)).toEqual([
      'reading suspensions of the queue',
      'reading suspensions of the queue',
    ])
  })

  it('that cannot be read at start keeps everything from being tried until it can', async () => {
    const { watch, clock, faults, suspend, applied, told } = await watching()
    await suspend(LANE)
    faults.fail('suspensions', 2)
    await watch.start()
    expect(applied).toMatchObject([[{ scope: { kind: 'everything' } }]])
    await clock.advance('1s')
    expect(applied).toHaveLength(1)
    await clock.advance('1s')
    expect(applied.slice(1)).toMatchObject([[{ scope: LANE }]])
    expect(told()).toEqual(['suspended lane'])
  })

  it('leaves nothing running when the queue stops', async () => {
    const { watch, clock, suspend, applied, faults } = await watching()
    await watch.start()
    await suspend(LANE, clock.now() + MINUTE)
    await watch.stop()
    await clock.advance('1h')
    expect(applied).toHaveLength(1)
    expect([clock.pending, faults.listeners]).toEqual([0, 0])
  })
})

describe('a queue that is told to suspend', () => {
  it('has it in the store when it answers, and tells what is suspended now', async () => {
    const { queue, clock, store, scope } = await started()
    await queue.suspend(LANE, { reason: '421 too many', until: clock.now() + MINUTE })
    await queue.suspend({ kind: 'everything' }, { reason: 'maintenance' })
    expect(scope.events.of('queue.suspended')).toHaveLength(2)
    expect(await store.suspensions()).toEqual(await queue.suspensions())
    expect(await queue.suspensions()).toEqual([
      { scope: { kind: 'everything' }, reason: 'maintenance', since: clock.now() },
      { scope: LANE, reason: '421 too many', since: clock.now(), until: clock.now() + MINUTE },
    ])
    expect(await queue.resume({ kind: 'everything' })).toBe(true)
    expect(await queue.resume({ kind: 'everything' })).toBe(false)
    await clock.advance('1m')
    expect(await queue.suspensions()).toEqual([])
    expect(scope.events.of('queue.resumed')).toHaveLength(2)
  })

  it('tries nothing of a lane until it is resumed, and nothing else is kept waiting', async () => {
    const { queue, clock, smtp, send } = await started()
    await queue.suspend(LANE, { reason: 'maintenance' })
    await send({ to: ['ann@example.org'] })
    await send({ to: ['bob@example.com'] })
    await clock.advance('1h')
    expect(smtp.delivered).toEqual(['bob@example.com'])
    await queue.resume(LANE)
    await clock.settle()
    expect(smtp.delivered).toEqual(['bob@example.com', 'ann@example.org'])
  })

  it('tries mail with a label again when its time is over', async () => {
    const { queue, clock, smtp, send, entries } = await started()
    await queue.suspend(TENANT, { reason: 'complaints', until: clock.now() + 20 * MINUTE })
    await send({ options: { labels: { tenant: 'acme' } } })
    await send({ to: ['bob@example.org'], options: { labels: { tenant: 'other' } } })
    await clock.advance('19m')
    expect(smtp.delivered).toEqual(['bob@example.org'])
    expect(await entries()).toMatchObject([{ attempts: 0 }])
    await clock.advance('1m')
    expect(smtp.delivered).toEqual(['bob@example.org', 'ann@example.org'])
  })

  it('remembers over a restart that everything stands still', async () => {
    const store = memoryStore()
    const first = await started({ store })
    await first.queue.suspend({ kind: 'everything' }, { reason: 'moving house' })
    await first.send()
    await first.clock.settle()
    expect(first.smtp.jobs).toEqual([])
    await first.end()
    const { queue, clock, smtp } = await started({ store })
    await clock.advance('1h')
    expect(smtp.jobs).toEqual([])
    await queue.resume({ kind: 'everything' })
    await clock.settle()
    expect(smtp.delivered).toEqual(['ann@example.org'])
  })

  it.each([LANE, TENANT])('lets an operator send suspended mail elsewhere, or return it: %j', async (scope) => {
    const { queue, clock, smtp, send, entries } = await started()
    await queue.suspend(scope, { reason: 'blocked there' })
    const options = { labels: { tenant: 'acme' } }
    await send({ options })
    await send({ to: ['bob@example.org'], options })
    await clock.settle()
    expect(
      await queue.reroute({ recipient: 'ann@example.org' }, { transport: 'smtp', destination: 'backup.example' }),
    ).toBe(1)
    expect(await queue.expire({ recipient: 'bob@example.org' })).toBe(1)
    await clock.settle()
    // By another lane it has the same label.
    const elsewhere = scope.kind === 'lane' ? ['ann@example.org'] : []
    expect(smtp.delivered.toSorted()).toEqual([...elsewhere, 'sender@example.net'])
    expect((await entries()).map((entry) => entry.lane)).toEqual(scope.kind === 'lane' ? [] : ['smtp:backup.example'])
  })

  it('starts when its store cannot say what is suspended, takes mail, and tries it when it can', async () => {
    const bench = queueBench()
    bench.faults.fail('suspensions', 1)
    await bench.queue.start!({ signal: AbortSignal.timeout(1_000) })
    const { send, smtp, clock, failures } = await started(bench)
    await send()
    await clock.settle()
    expect(smtp.jobs).toEqual([])
    expect(failures()).toEqual(['reading suspensions of the queue'])
    await clock.advance('1s')
    expect(smtp.delivered).toEqual(['ann@example.org'])
  })
})
