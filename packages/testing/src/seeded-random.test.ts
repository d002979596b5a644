import { expect, it } from 'vitest'
import { seededRandom } from './seeded-random.ts'

it('the same seed gives the same stream, another seed another one', () => {
  const take = (seed: number): number[] => {
    const random = seededRandom(seed)
    return Array.from({ length: 20 }, () => random.float())
  }
  expect(take(7)).toEqual(take(7))
  expect(take(7)).not.toEqual(take(8))
})

it('floats fill the interval from 0 to 1 evenly', () => {
  const random = seededRandom(1)
  const buckets = new Array<number>(10).fill(0)
  for (let count = 0; count < 10_000; count++) {
    const value = random.float()
    expect(value >= 0 && value < 1).toBe(true)
    buckets[Math.floor(value * 10)]!++
  }
  for (const hits of buckets) expect(Math.abs(hits - 1_000)).toBeLessThan(150)
})

it('bytes have the length asked for and repeat with the seed', () => {
  expect(seededRandom(3).bytes(16)).toEqual(seededRandom(3).bytes(16))
  expect(seededRandom(3).bytes(16).length).toBe(16)
  expect(new Set(seededRandom(3).bytes(1_000)).size).toBeGreaterThan(200)
})

it('a fork depends on seed and label only, not on what was drawn before', () => {
  const drawn = seededRandom(5)
  drawn.float()
  expect(drawn.fork('network').float()).toBe(seededRandom(5).fork('network').float())
  expect(drawn.fork('network').float()).not.toBe(drawn.fork('clients').float())
})
