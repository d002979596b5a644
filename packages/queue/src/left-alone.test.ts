/** Mail that is not to be tried for now: suspended by an operator, paused by its destination, or between two attempts. */
import type { Suspension, SuspensionScope } from '@mailwright/core'
import { deferred } from '@mailwright/testing'
import { afterEach, describe, expect, it } from 'vitest'
import {
  type DispatcherBench,
  type DispatcherBenchOptions,
  dispatcherBench,
} from './testing-support/dispatcher-bench.ts'

const SECOND = 1_000
const MINUTE = 60_000
const A = 'smtp:a.example'
const B = 'smtp:b.example'
const NOTHING_ELSE = { initial: 1, limit: 1 } as const
const benches: DispatcherBench[] = []

async function running(options: DispatcherBenchOptions = {}): Promise<DispatcherBench> {
  const bench = await dispatcherBench(options)
  benches.push(bench)
  bench.dispatcher.start()
  await bench.clock.settle()
  return bench
}

afterEach(async () => {
  for (const { clock, dispatcher, smtp } of benches.splice(0)) {
    smtp.release()
    await clock.until(dispatcher.drain())
    expect(clock.pending).toBe(0)
  }
})

function suspension(scope: SuspensionScope, until?: number): Suspension {
  return { scope, reason: 'a test', since: 0, until }
}

const lane = (key: string): SuspensionScope => ({ kind: 'lane', lane: key })
const ids = (bench: DispatcherBench): string[] => bench.tried.map(([id]) => id)

describe('mail that an operator has suspended', () => {
  it('waits in the store, whatever comes, until it is resumed; other mail goes', async () => {
    const bench = await running()
    const { dispatcher, clock, put } = bench
    dispatcher.suspend([suspension(lane(A))])
    for (const key of [A, 'smtp/sale:a.example', B, A]) await put(key)
    await clock.advance('1h')
    expect(ids(bench)).toEqual(['m3'])
    dispatcher.suspend([])
    await clock.settle()
    expect(ids(bench).sort()).toEqual(['m1', 'm2', 'm3', 'm4'])
  })

  it('may be one line of a destination', async () => {
    const bench = await running()
    const { dispatcher, clock, put } = bench
    dispatcher.suspend([suspension(lane('smtp/sale:a.example'))])
    for (const key of [A, 'smtp/sale:a.example', 'smtp/news:a.example']) await put(key)
    await clock.settle()
    expect(ids(bench)).toEqual(['m1', 'm3'])
    dispatcher.suspend([])
    await clock.settle()
    expect(ids(bench)).toEqual(['m1', 'm3', 'm2'])
  })

  it('may be all mail: what is in hand goes back, and an attempt under way goes on', async () => {
    const bench = await running({ ...NOTHING_ELSE, takes: 10 * SECOND })
    const { dispatcher, clock, put, store } = bench
    for (const key of [A, A, A]) await put(key)
    await clock.settle()
    dispatcher.suspend([suspension({ kind: 'everything' })])
    await put(B)
    await clock.settle()
    const claimed = (await store.entries({ limit: 9 })).filter((each) => each.claimed).map(({ message }) => message)
    expect(claimed).toEqual(['m1'])
    await clock.advance('1h')
    expect(bench.smtp.delivered).toHaveLength(1)
    dispatcher.suspend([])
    await clock.advance('1m')
    expect(ids(bench).slice(1).sort()).toEqual(['m2', 'm3', 'm4'])
  })

  it('is done with as an operator says, however it is suspended', async () => {
    const bench = await running()
    const { dispatcher, clock, put, store, scope } = bench
    dispatcher.suspend([suspension({ kind: 'everything' })])
    await put(A, { labels: { tenant: 'acme' } })
    await put(B)
    await clock.settle()
    await store.instruct({ messages: ['m1'] }, { kind: 'expire' }, clock.now())
    dispatcher.instructed()
    await clock.settle()
    expect(scope.events.of('message.undeliverable').map(({ message }) => message)).toEqual(['m1'])
    expect(ids(bench)).toEqual([])
  })

  it('is tried again by itself when its time is over', async () => {
    const bench = await running()
    const { dispatcher, clock, put } = bench
    const now = clock.now()
    dispatcher.suspend([suspension(lane(A), now + MINUTE), suspension(lane(B), now + 2 * MINUTE)])
    for (const key of [A, B]) await put(key)
    await clock.advance('5m')
    expect(bench.tried).toEqual([
      ['m1', MINUTE],
      ['m2', 2 * MINUTE],
    ])
  })

  it('is suspended from the start where it was so before', async () => {
    const bench = await dispatcherBench()
    benches.push(bench)
    await bench.put(A)
    bench.dispatcher.suspend([suspension(lane(A))])
    bench.dispatcher.start()
    await bench.clock.advance('10m')
    expect(ids(bench)).toEqual([])
  })

  it('by its label goes back uncounted, and is due at once when it is resumed', async () => {
    const bench = await running()
    const { dispatcher, clock, put, store } = bench
    const acme: SuspensionScope = { kind: 'label', label: 'tenant', value: 'acme' }
    dispatcher.suspend([suspension(acme)])
    await put(A, { labels: { tenant: 'acme' } })
    await put(A, { labels: { tenant: 'other' } })
    await put(A)
    await clock.settle()
    expect(ids(bench)).toEqual(['m2', 'm3'])
    expect(await store.entries({ limit: 9 })).toMatchObject([
      { message: 'm1', attempts: 0, claimed: false, dueAt: clock.now() + 5 * MINUTE },
    ])
    await clock.advance('17m')
    expect(ids(bench)).toEqual(['m2', 'm3'])
    dispatcher.suspend([])
    await clock.settle()
    expect(ids(bench)).toEqual(['m2', 'm3', 'm1'])
  })

  it('by its label is taken out of hand', async () => {
    const bench = await running({ ...NOTHING_ELSE, takes: 10 * SECOND })
    const { dispatcher, clock, put } = bench
    await put(A)
    for (let message = 0; message < 3; message++) await put(A, { labels: { tenant: 'acme' } })
    await put(A)
    await clock.settle()
    dispatcher.suspend([suspension({ kind: 'label', label: 'tenant', value: 'acme' })])
    await clock.advance('1m')
    expect(ids(bench)).toEqual(['m1', 'm5'])
  })
})

describe('a destination that asks to be left alone', () => {
  it('gets no mail until then, and is not revived by an attempt under way', async () => {
    const bench = await running({ takes: SECOND })
    const { dispatcher, clock, put, scope } = bench
    await put(A)
    await clock.settle()
    const until = clock.now() + MINUTE
    dispatcher.pause('smtp/sale:a.example', until)
    expect(scope.events.of('lane.state')).toEqual([{ type: 'lane.state', lane: A, state: 'dead', until }])
    for (const key of [A, 'smtp/sale:a.example', B]) await put(key)
    await clock.advance('59s')
    expect(ids(bench)).toEqual(['m1', 'm4'])
    await clock.advance('1s')
    expect(ids(bench)).toEqual(['m1', 'm4', 'm2', 'm3'])
    expect(scope.events.of('lane.state').at(-1)).toMatchObject({ lane: A, state: 'alive' })
  })

  it('is left alone for the longer of two pauses', async () => {
    const bench = await running()
    const { dispatcher, clock, put } = bench
    dispatcher.pause(A, clock.now() + 3 * MINUTE)
    dispatcher.pause(A, clock.now() + MINUTE)
    await put(A)
    await clock.advance('10m')
    expect(bench.tried).toEqual([['m1', 3 * MINUTE]])
  })

  it('is tried when an operator wants it', async () => {
    const bench = await running()
    const { dispatcher, clock, put } = bench
    dispatcher.pause(A, clock.now() + MINUTE)
    await put(A)
    dispatcher.tell({ type: 'flushed', lane: A, now: clock.now() })
    await clock.settle()
    expect(ids(bench)).toEqual(['m1'])
  })

  it('is dead for all its lines when one of them cannot reach it', async () => {
    const bench = await running({ ...NOTHING_ELSE, outcomes: { '*': deferred('421 4.4.1 no answer', 'destination') } })
    for (const key of [A, 'smtp/sale:a.example', 'smtp/news:a.example']) await bench.put(key)
    await bench.clock.advance('4m')
    expect(bench.tried).toHaveLength(1)
  })
})

describe('a destination that takes mail with pauses', () => {
  const slow = (key: string) => ({ ...NOTHING_ELSE, failedCohortLimit: 1, rateDelayMs: key === A ? 10 * SECOND : 0 })

  it('gets one message at a time, from whatever line, and the next after its pause', async () => {
    const bench = await running({ mannersOf: slow, takes: SECOND })
    for (const key of [A, 'smtp/sale:a.example', A, B, B]) await bench.put(key)
    await bench.clock.advance('1m')
    const toA = bench.tried.filter(([id]) => !['m4', 'm5'].includes(id)).map(([, at]) => at)
    expect(toA).toEqual([0, 11 * SECOND, 22 * SECOND])
    expect(bench.tried.filter(([id]) => ['m4', 'm5'].includes(id)).map(([, at]) => at)).toEqual([0, SECOND])
  })

  it('is remembered through its pause, when nothing waits for it meanwhile', async () => {
    const bench = await running({ mannersOf: slow })
    await bench.put(A)
    await bench.clock.advance('4s')
    await bench.put(A)
    await bench.clock.advance('1m')
    expect(bench.tried.map(([, at]) => at)).toEqual([0, 10 * SECOND])
    const again = bench.clock.now()
    await bench.put(A)
    await bench.clock.settle()
    expect(bench.tried).toHaveLength(3)
    expect(bench.clock.now()).toBe(again)
  })

  it('keeps nothing of others in hand, however many there are', async () => {
    const bench = await running({ mannersOf: () => slow(A), maxAttempts: 2, aheadOfAll: 2, surveyLimit: 2 })
    for (let number = 0; number < 20; number++)
      for (let turn = 0; turn < 2; turn++) await bench.put(`smtp:d${number}.example`)
    await bench.clock.settle()
    expect(bench.tried).toHaveLength(20)
    await bench.clock.advance('10s')
    expect(bench.tried).toHaveLength(40)
  })

  it('may be all the destinations of a transport together', async () => {
    const manners = { ...NOTHING_ELSE, failedCohortLimit: 1, transportRateDelayMs: 5 * SECOND }
    const bench = await running({ mannersOf: () => manners })
    for (const key of [A, B, A, B]) await bench.put(key)
    await bench.clock.advance('1m')
    expect(bench.tried.map(([, at]) => at)).toEqual([0, 5 * SECOND, 10 * SECOND, 15 * SECOND])
  })
})

describe('liveness', () => {
  it('is nothing while all mail that can go goes, or waits for a slot', async () => {
    const bench = await running({ ...NOTHING_ELSE, takes: MINUTE })
    for (const key of [A, A, B]) await bench.put(key)
    await bench.clock.advance('50s')
    expect(bench.dispatcher.liveness).toBe(0)
  })

  it('is how long ready mail has been waiting for a store that does not answer', async () => {
    const bench = await running()
    bench.faults.delay('claim')
    await bench.put(A)
    await bench.clock.advance('30s')
    expect(bench.dispatcher.liveness).toBe(30 * SECOND)
    bench.faults.letGo('claim')
    await bench.clock.settle()
    expect(bench.dispatcher.liveness).toBe(0)
  })
})
