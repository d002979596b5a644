/** Limits by label, and globally: an attempt over a limit is later, and never counted. */
import { type Limits, MailwrightError, type Rate } from '@mailwright/core'
import { afterEach, describe, expect, it } from 'vitest'
import { limitsOf } from './limit-rules.ts'
import { memoryLimits } from './limits.ts'
import {
  type DispatcherBench,
  type DispatcherBenchOptions,
  dispatcherBench,
  LEASE_MS,
} from './testing-support/dispatcher-bench.ts'

const SECOND = 1_000
const HOUR = 3_600_000
const A = 'smtp:a.example'
const acme = { labels: { tenant: 'acme' } }
const benches: DispatcherBench[] = []

async function running(options: DispatcherBenchOptions): Promise<DispatcherBench> {
  const bench = await dispatcherBench({ initial: 1_000, limit: 1_000, maxAttempts: 1_000, ...options })
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

const times = (bench: DispatcherBench): number[] => bench.tried.map(([, at]) => at)

describe('a rate', () => {
  const perSecond = (count: number, more: Partial<Rate> = {}): DispatcherBenchOptions => ({
    limits: [{ by: 'tenant', rate: { count, perMs: SECOND, ...more } }],
  })

  it('lets mail of each tenant go evenly, and other mail at once', async () => {
    const bench = await running(perSecond(2))
    for (let turn = 0; turn < 4; turn++) await bench.put(A, acme)
    await bench.put(A, { labels: { tenant: 'other' } })
    for (let turn = 0; turn < 4; turn++) await bench.put(A)
    await bench.clock.settle()
    expect(bench.tried).toHaveLength(6)
    await bench.clock.advance('2s')
    const its = bench.tried.filter(([id]) => ['m1', 'm2', 'm3', 'm4'].includes(id))
    expect(its.map(([, at]) => at)).toEqual([0, 500, 1_000, 1_500])
  })

  it('is used to the full by a backlog far beyond what can be kept in hand, and counts no attempt', async () => {
    const bench = await running(perSecond(50))
    for (let turn = 0; turn < 2_000; turn++) await bench.put(A, acme)
    await bench.clock.advance('20s')
    expect(bench.tried.length).toBeGreaterThanOrEqual(980)
    expect(bench.tried.length).toBeLessThanOrEqual(1_001)
    const perSecondOf = Map.groupBy(times(bench), (at) => Math.floor(at / SECOND))
    for (const [second, all] of perSecondOf) if (second < 19) expect(all.length).toBeLessThanOrEqual(51)
    const waiting = await bench.store.entries({ limit: 5_000 })
    expect(waiting.every(({ attempts }) => attempts === 0)).toBe(true)
    await bench.clock.advance('30s')
    expect(bench.smtp.delivered).toHaveLength(2_000)
    // Once there and back for most, and not in each second for all.
    expect(bench.faults.count('settle')).toBeLessThan(6_000)
  })

  it('of one an hour is kept too, and nobody starves', async () => {
    const bench = await running({ limits: [{ by: 'tenant', rate: { count: 1, perMs: HOUR } }] })
    for (let turn = 0; turn < 5; turn++) await bench.put(A, acme)
    await bench.clock.advance('5h')
    expect(times(bench)).toEqual([0, HOUR, 2 * HOUR, 3 * HOUR, 4 * HOUR])
    expect(new Set(bench.tried.map(([id]) => id)).size).toBe(5)
  })

  it('lets a burst go at once', async () => {
    const bench = await running(perSecond(1, { burst: 3 }))
    for (let turn = 0; turn < 5; turn++) await bench.put(A, acme)
    await bench.clock.advance('5s')
    expect(times(bench)).toEqual([0, 0, 0, SECOND, 2 * SECOND])
  })

  it("may be everybody's, by a function", async () => {
    const bench = await running({ limits: [{ by: () => 'all', rate: { count: 1, perMs: SECOND } }] })
    for (const lane of [A, 'smtp:b.example', 'smtp:c.example']) await bench.put(lane)
    await bench.clock.advance('5s')
    expect(times(bench)).toEqual([0, SECOND, 2 * SECOND])
  })

  it('is the slowest of those that hold', async () => {
    const limits = [
      { by: 'tenant', rate: { count: 1, perMs: 2 * SECOND } },
      { by: () => 'all', rate: { count: 1, perMs: SECOND } },
    ]
    const bench = await running({ limits })
    for (let turn = 0; turn < 3; turn++) await bench.put(A, acme)
    await bench.clock.advance('10s')
    expect(times(bench)).toEqual([0, 2 * SECOND, 4 * SECOND])
  })
})

describe('a limit of how many at once', () => {
  const atOnce = (concurrency: number): DispatcherBenchOptions => ({
    limits: [{ by: 'tenant', concurrency }],
    takes: 10 * SECOND,
  })

  it('is kept, and what waits goes in its order as soon as there is a place', async () => {
    const bench = await running(atOnce(2))
    for (let turn = 0; turn < 6; turn++) await bench.put(A, acme)
    await bench.put(A)
    await bench.clock.advance('1m')
    const its = bench.tried.filter(([id]) => id !== 'm7')
    expect(its).toEqual([
      ['m1', 0],
      ['m2', 0],
      ['m3', 10 * SECOND],
      ['m4', 10 * SECOND],
      ['m5', 20 * SECOND],
      ['m6', 20 * SECOND],
    ])
  })

  it('sends what there is no room for back for a moment, uncounted', async () => {
    const bench = await running(atOnce(1))
    for (let turn = 0; turn < 300; turn++) await bench.put(A, acme)
    await bench.clock.advance('1s')
    const waiting = await bench.store.entries({ limit: 500 })
    expect(waiting.filter(({ claimed }) => !claimed).length).toBeGreaterThanOrEqual(99)
    expect(waiting.every(({ attempts }) => attempts === 0)).toBe(true)
    await bench.clock.advance('50s')
    expect(bench.tried).toHaveLength(6)
  })

  it('takes no slot from others while it waits', async () => {
    const bench = await running({ ...atOnce(1), maxAttempts: 2 })
    for (let turn = 0; turn < 5; turn++) await bench.put(A, acme)
    for (let turn = 0; turn < 3; turn++) await bench.put(A)
    await bench.clock.advance('20s')
    expect(bench.tried.filter(([id]) => ['m6', 'm7', 'm8'].includes(id))).toHaveLength(3)
  })

  it('keeps its places for as long as an attempt takes', async () => {
    const bench = await running({ limits: [{ by: 'tenant', concurrency: 1 }], takes: 3 * LEASE_MS })
    for (let turn = 0; turn < 2; turn++) await bench.put(A, acme)
    await bench.clock.advance('29m')
    expect(bench.tried).toHaveLength(1)
    await bench.clock.advance('2m')
    expect(bench.tried).toHaveLength(2)
  })

  it('together with others takes no place that it does not use', async () => {
    const limits = [
      { by: 'tenant', concurrency: 5 },
      { by: 'campaign', concurrency: 1 },
    ]
    const bench = await running({ limits, takes: 10 * SECOND })
    for (let turn = 0; turn < 5; turn++) await bench.put(A, { labels: { tenant: 'acme', campaign: 'sale' } })
    for (let turn = 0; turn < 4; turn++) await bench.put(A, acme)
    await bench.clock.advance('9s')
    expect(bench.tried).toHaveLength(5)
  })
})

describe('mail that waits for its limit', () => {
  const slowly: DispatcherBenchOptions = { limits: [{ by: 'tenant', rate: { count: 1, perMs: HOUR } }] }

  it('goes back to the store at shutdown, due as it was', async () => {
    const bench = await running(slowly)
    for (let turn = 0; turn < 2; turn++) await bench.put(A, acme)
    await bench.clock.advance('1m')
    await bench.clock.until(bench.dispatcher.drain())
    const [left] = await bench.store.entries({ limit: 9 })
    expect(left).toMatchObject({ message: 'm2', claimed: false, attempts: 0, dueAt: left!.arrivedAt })
  })

  it('is not tried when an operator removes it', async () => {
    const bench = await running(slowly)
    for (let turn = 0; turn < 2; turn++) await bench.put(A, acme)
    await bench.clock.settle()
    await bench.store.remove({ messages: ['m2'] })
    await bench.dispatcher.recall(({ entry }) => entry.message === 'm2')
    await bench.clock.advance('3h')
    expect(bench.tried).toHaveLength(1)
  })
})

describe('limits that cannot be asked', () => {
  const BROKEN = new MailwrightError('ERR_MAILWRIGHT_STORE', 'no answer')

  it.each(['pace', 'enter'] as const)('at %s keep mail waiting half a minute, uncounted', async (call) => {
    let broken = true
    const inner = memoryLimits()
    const limitKeeper: Limits = {
      pace: (...given) => (broken && call === 'pace' ? Promise.reject(BROKEN) : inner.pace(...given)),
      enter: (...given) => (broken && call === 'enter' ? Promise.reject(BROKEN) : inner.enter(...given)),
      renew: (...given) => inner.renew(...given),
      leave: (place) => inner.leave(place),
    }
    const bench = await running({
      limits: [{ by: 'tenant', rate: { count: 100, perMs: SECOND }, concurrency: 5 }],
      limitKeeper,
    })
    await bench.put(A, acme)
    await bench.put(A)
    await bench.clock.settle()
    expect(bench.tried.map(([id]) => id)).toEqual(['m2'])
    expect(bench.scope.events.of('failure')).toMatchObject([{ where: 'the limits of m1', error: BROKEN }])
    expect(await bench.store.entries({ limit: 9 })).toMatchObject([{ attempts: 0, dueAt: bench.clock.now() + 30_000 }])
    broken = false
    await bench.clock.advance('31s')
    expect(bench.tried).toHaveLength(2)
  })

  it('at the end of an attempt or at a renewal are a failure event, and no more', async () => {
    const inner = memoryLimits()
    const limitKeeper: Limits = {
      pace: (...given) => inner.pace(...given),
      enter: (...given) => inner.enter(...given),
      renew: () => Promise.reject(BROKEN),
      leave: () => Promise.reject(BROKEN),
    }
    const bench = await running({ limits: [{ by: 'tenant', concurrency: 5 }], limitKeeper, takes: LEASE_MS / 2 })
    await bench.put(A, acme)
    await bench.clock.advance('6m')
    expect(bench.smtp.delivered).toHaveLength(1)
    expect(bench.scope.events.of('failure').map(({ where }) => where)).toEqual(['renewing a place', 'leaving a place'])
  })
})

describe('the rules of limits', () => {
  it.each([
    { by: 'tenant', concurrency: 0 },
    { by: 'tenant', concurrency: 1.5 },
    { by: 'tenant', rate: { count: 0, perMs: 1 } },
    { by: 'tenant', rate: { count: 1, perMs: Number.NaN } },
    { by: 'tenant', rate: { count: 1, perMs: 1, burst: 0 } },
  ])('are refused at start when they are %j', (rule) => {
    expect(() => limitsOf([rule], () => {})).toThrow(MailwrightError)
  })

  it('whose function throws limit nothing, and somebody is told', async () => {
    const by = (): string => {
      throw new Error('a bug')
    }
    const bench = await running({ limits: [{ by, concurrency: 1 }] })
    await bench.put(A)
    await bench.clock.settle()
    expect(bench.tried).toHaveLength(1)
    expect(bench.scope.events.of('failure')).toMatchObject([{ where: 'the key of a limit' }])
  })
})
