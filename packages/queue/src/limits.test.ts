import { limitsConformance } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { memoryLimits } from './limits.ts'

limitsConformance({
  name: 'memoryLimits',
  create: async () => {
    let now = Date.UTC(2026, 0, 1)
    const limits = memoryLimits()
    return {
      workers: [limits, limits],
      now: () => now,
      pass: async (ms) => {
        now += ms
      },
      dispose: async () => {},
    }
  },
})

describe('limits in memory', () => {
  it('remember what is booked however many other keys come by', async () => {
    const limits = memoryLimits()
    const rate = { count: 1, perMs: 60_000 }
    limits.pace('booked', rate, 0)
    for (let key = 0; key < 10_000; key++) limits.pace(`other ${key}`, { count: 1, perMs: 1 }, key)
    expect(limits.pace('booked', rate, 10_000)).toBe(60_000)
  })
})
