import { seededRandom } from '@mailwright/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type RetrySchedule, retryAfter, retryByAge, withJitter } from './retry.ts'
import { retryList } from './retry-list.ts'

const MINUTE = 60_000

/** The waits of a message that is tried whenever it is due, in minutes. */
function waits(schedule: RetrySchedule, count: number): number[] {
  const found: number[] = []
  const random = seededRandom(1)
  let now = 0
  for (let attempt = 1; attempt <= count; attempt++) {
    const wait = schedule({ now, arrivedAt: 0, attempt, random })
    found.push(wait / MINUTE)
    now += wait
  }
  return found
}

describe('waiting by age', () => {
  it('is five minutes at first, then about as long again as the mail has waited, up to 4000 seconds', () => {
    expect(waits(retryByAge(), 8)).toEqual([5, 5, 10, 20, 40, 4000 / 60, 4000 / 60, 4000 / 60])
  })

  it('keeps within the limits it is given', () => {
    expect(waits(retryByAge('1m', '3m'), 5)).toEqual([1, 1, 2, 3, 3])
  })

  it('is the shortest wait for mail from the future: clocks are set back', () => {
    expect(retryByAge()({ now: 0, arrivedAt: 999_999, attempt: 1, random: seededRandom(1) })).toBe(300_000)
  })
})

describe('waiting by a list', () => {
  it('takes the waits one after the other and repeats the last', () => {
    expect(waits(retryAfter('5m', '10m', '1h'), 5)).toEqual([5, 10, 60, 60, 60])
  })

  it('refuses what is no duration', () => {
    expect(() => retryAfter('soon' as '5m')).toThrow('not a duration')
    expect(() => retryByAge(-1)).toThrow('not a duration')
  })

  it('is read from text, with repetitions', () => {
    expect(waits(retryList('5m, 10m, 30m*2, 1h*…'), 6)).toEqual([5, 10, 30, 30, 60, 60])
    expect(waits(retryList('90s * 2,2h*...'), 4)).toEqual([1.5, 1.5, 120, 120])
    expect(waits(retryList(['1m', 180_000]), 3)).toEqual([1, 3, 3])
  })

  it.each(['', '5m,', '5m*0', '5m*…, 10m', 'soon', '5m 10m', '-5m', '1m*9999'])('is not read from %j', (text) => {
    expect(() => retryList(text)).toThrow(expect.objectContaining({ code: 'ERR_MAILWRIGHT_CONFIG' }))
  })

  it('is not empty', () => {
    expect(() => retryList([])).toThrow('not a list of waits')
  })
})

describe('jitter', () => {
  it('keeps every wait within its share, whatever chance says', () => {
    const given = {
      age: fc.integer({ min: 0, max: 10 * 86_400_000 }),
      attempt: fc.integer({ min: 1, max: 1_000 }),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
      seed: fc.integer(),
    }
    fc.assert(
      fc.property(fc.record(given), ({ age, attempt, share, seed }) => {
        for (const schedule of [retryByAge(), retryList('5m, 10m*3, 1h*…')]) {
          const deferral = { now: age, arrivedAt: 0, attempt, random: seededRandom(seed) }
          const plain = schedule(deferral)
          const wait = withJitter(schedule, share)(deferral)
          expect(wait).toBeGreaterThanOrEqual(plain * (1 - share) - 0.001)
          expect(wait).toBeLessThanOrEqual(plain * (1 + share) + 0.001)
        }
      }),
    )
  })

  it('parts mail that was deferred together', () => {
    const random = seededRandom(1)
    const schedule = withJitter(retryAfter('1h'), 0.1)
    const times = Array.from({ length: 50 }, () => schedule({ now: 0, arrivedAt: 0, attempt: 1, random }))
    expect(new Set(times).size).toBe(50)
  })

  it.each([-0.1, 1.1, Number.NaN])('of %d is refused', (share) => {
    expect(() => withJitter(retryAfter('1h'), share)).toThrow('not a share')
  })
})
