import { describe, expect, it } from 'vitest'
import { type RetrySchedule, retryAfter, retryByAge } from './retry.ts'

const MINUTE = 60_000

/** The waits of a message that is tried whenever it is due, in minutes. */
function waits(schedule: RetrySchedule, count: number): number[] {
  const found: number[] = []
  let now = 0
  for (let attempt = 1; attempt <= count; attempt++) {
    const wait = schedule({ now, arrivedAt: 0, attempt })
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
    expect(retryByAge()({ now: 0, arrivedAt: 999_999, attempt: 1 })).toBe(300_000)
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
})
