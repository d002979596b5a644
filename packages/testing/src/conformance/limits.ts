/**
 * The conformance suite of `Limits`: what a keeper of limits owes its workers, as sentences about mail. It runs on a
 * manual clock, and on limits that live by a clock of their own: no case takes longer than a second.
 */
import type { Limits, Place, Rate } from '@mailwright/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

export interface LimitsUnderTest {
  /** Two workers that keep the same limits together; the same object twice where there is only one. */
  readonly workers: readonly [Limits, Limits]
  /** ms since the epoch. */
  now(): number
  /** Lets time pass. */
  pass(ms: number): Promise<void>
  /** How far apart the clocks of the test and of the limits may be, and how late answers come, in ms. Default 0. */
  readonly inexactMs?: number
  dispose(): Promise<void>
}

export interface LimitsConformance {
  readonly name: string
  /** Called for each case: limits that nobody has used. */
  readonly create: () => Promise<LimitsUnderTest>
}

/** One each 40 ms. */
const FAST: Rate = { count: 5, perMs: 200 }
const LEASE_MS = 400

/**
 * Declares the suite; call it at the top of a test file.
 *
 * @example
 * limitsConformance({ name: 'memoryLimits', create: async () => ({ workers: [limits, limits], now, pass, dispose }) })
 */
export function limitsConformance(options: LimitsConformance): void {
  describe(`${options.name} as limits`, () => {
    let subject: LimitsUnderTest
    let first: Limits
    let second: Limits
    let inexact: number

    beforeEach(async () => {
      subject = await options.create()
      first = subject.workers[0]
      second = subject.workers[1]
      inexact = subject.inexactMs ?? 0
    })
    afterEach(async () => {
      await subject.dispose()
    })

    const pace = async (key: string, rate: Rate, by: Limits = first): Promise<number> =>
      by.pace(key, rate, subject.now())
    const enter = async (key: string, limit: number, by: Limits = first): Promise<Place | undefined> =>
      by.enter(key, limit, LEASE_MS, subject.now())
    /** Whether a place is free. One that is taken to find out is left again. */
    const isFree = async (key: string, limit: number): Promise<boolean> => {
      const place = await enter(key, limit)
      if (place !== undefined) await first.leave(place)
      return place !== undefined
    }

    describe('a rate', () => {
      it('lets the first message go at once', async () => {
        const now = subject.now()
        const moment = await pace('tenant', FAST)
        expect(moment).toBeGreaterThanOrEqual(now - inexact)
        expect(moment).toBeLessThanOrEqual(subject.now() + inexact)
      })

      it('spreads what comes at once evenly, to the millisecond', async () => {
        const moments = await inTurn(12, () => pace('tenant', { count: 3, perMs: 6_000 }))
        for (let index = 1; index < moments.length; index++) {
          expect(moments[index]! - moments[index - 1]!).toBeGreaterThanOrEqual(2_000 - 1)
          expect(moments[index]! - moments[index - 1]!).toBeLessThanOrEqual(2_000 + 1)
        }
      })

      it('keeps to the rate where it is no whole number of milliseconds', async () => {
        const moments = await inTurn(301, () => pace('tenant', { count: 300, perMs: 100_000 }))
        expect(Math.abs(moments[300]! - moments[0]! - 100_000)).toBeLessThanOrEqual(1)
      })

      it('gives no moment of the past, and saves none up', async () => {
        await pace('tenant', FAST)
        await subject.pass(500)
        const now = subject.now()
        const one = await pace('tenant', FAST)
        const other = await pace('tenant', FAST)
        expect(one).toBeGreaterThanOrEqual(now - inexact)
        expect(other - one).toBeGreaterThanOrEqual(39)
      })

      it('with a burst lets so many go at once after a time without any, and then keeps to the rate', async () => {
        const bursting: Rate = { count: 1, perMs: 10_000, burst: 3 }
        const moments = await inTurn(5, () => pace('tenant', bursting))
        expect(moments[2]! - moments[0]!).toBeLessThanOrEqual(inexact)
        expect(Math.abs(moments[3]! - moments[0]! - 10_000)).toBeLessThanOrEqual(inexact + 1)
        expect(Math.abs(moments[4]! - moments[3]! - 10_000)).toBeLessThanOrEqual(1)
      })

      it('of one key is nothing to another', async () => {
        await inTurn(10, () => pace('busy', { count: 1, perMs: 60_000 }))
        expect(await pace('quiet', FAST)).toBeLessThanOrEqual(subject.now() + inexact)
      })

      it('is kept by all workers together', async () => {
        const rate: Rate = { count: 1, perMs: 1_000 }
        const moments = [
          await pace('tenant', rate, first),
          await pace('tenant', rate, second),
          await pace('tenant', rate, first),
        ]
        expect(moments[2]! - moments[0]!).toBeGreaterThanOrEqual(1_999)
      })

      it('gives no moment twice to workers that ask at the same time', async () => {
        const rate: Rate = { count: 1, perMs: 1_000 }
        const moments = await Promise.all(
          Array.from({ length: 40 }, (_, index) => pace('tenant', rate, subject.workers[index % 2]!)),
        )
        moments.sort((one, other) => one - other)
        for (let index = 1; index < moments.length; index++)
          expect(moments[index]! - moments[index - 1]!).toBeGreaterThanOrEqual(999)
      })
    })

    describe('a limit of how many at once', () => {
      it('gives so many places, and no more', async () => {
        expect(await enter('site', 2)).toMatchObject({ key: 'site' })
        expect(await enter('site', 2)).toMatchObject({ key: 'site' })
        expect(await enter('site', 2)).toBeUndefined()
      })

      it('gives a place to the next when one is left', async () => {
        const place = await enter('site', 1)
        expect(await isFree('site', 1)).toBe(false)
        await first.leave(place!)
        expect(await isFree('site', 1)).toBe(true)
      })

      it('takes a place that is left twice for left once', async () => {
        const one = await enter('site', 2)
        await enter('site', 2)
        await first.leave(one!)
        await first.leave(one!)
        expect(await enter('site', 2)).toBeDefined()
        expect(await enter('site', 2)).toBeUndefined()
      })

      it('of one key is nothing to another', async () => {
        await enter('site', 1)
        expect(await enter('other site', 1)).toBeDefined()
      })

      it('that grows gives more places, and one that shrinks takes none away', async () => {
        const place = await enter('site', 1)
        expect(await enter('site', 2)).toBeDefined()
        expect(await enter('site', 1)).toBeUndefined()
        expect(await first.renew(place!, LEASE_MS, subject.now())).toBe(true)
      })

      it('gives a place back after its lease, when its worker has died', async () => {
        await enter('site', 1)
        await subject.pass(LEASE_MS + inexact)
        expect(await isFree('site', 1)).toBe(true)
      })

      it('keeps a place for as long as it is renewed', async () => {
        const place = await enter('site', 1)
        for (let time = 0; time < 2; time++) {
          await subject.pass(LEASE_MS / 2)
          expect(await first.renew(place!, LEASE_MS, subject.now())).toBe(true)
        }
        await subject.pass(LEASE_MS / 4)
        expect(await isFree('site', 1)).toBe(false)
      })

      it('tells a worker that comes too late that its place is lost, and leaves the next one in peace', async () => {
        const late = await enter('site', 1)
        await subject.pass(LEASE_MS + inexact)
        expect(await enter('site', 1, second)).toBeDefined()
        expect(await first.renew(late!, LEASE_MS, subject.now())).toBe(false)
        await first.leave(late!)
        expect(await isFree('site', 1)).toBe(false)
      })

      it('tells a worker that has left that its place is lost', async () => {
        const place = await enter('site', 1)
        await first.leave(place!)
        expect(await first.renew(place!, LEASE_MS, subject.now())).toBe(false)
      })

      it('is kept by all workers together, also when they ask at the same time', async () => {
        const asked = Array.from({ length: 30 }, (_, index) => enter('site', 7, subject.workers[index % 2]!))
        const places = (await Promise.all(asked)).filter((place) => place !== undefined)
        expect(places).toHaveLength(7)
        expect(new Set(places.map(({ token }) => token)).size).toBe(7)
      })
    })
  })
}

async function inTurn(times: number, ask: () => Promise<number>): Promise<number[]> {
  const answers: number[] = []
  for (let time = 0; time < times; time++) answers.push(await ask())
  return answers
}
