import { describe, expect, it } from 'vitest'
import { type Duration, milliseconds } from './duration.ts'

describe('a duration', () => {
  it.each([
    [0, 0],
    [1_500, 1_500],
    ['300ms', 300],
    ['1.5s', 1_500],
    ['5m', 300_000],
    ['4h', 14_400_000],
    ['5d', 432_000_000],
    ['1w', 604_800_000],
  ] as const)('%s is %d ms', (duration, ms) => {
    expect(milliseconds(duration)).toBe(ms)
  })

  it.each([-1, Number.NaN, '5', '5 m', '-5m', 'm', '5y', ''])('%j is none', (text) => {
    expect(() => milliseconds(text as Duration)).toThrow('not a duration')
  })
})
