import { describe, expect, it } from 'vitest'
import { idMaker } from './identity.ts'

const random = (value: number) => ({ float: () => value, bytes: (count: number) => new Uint8Array(count) })

describe('an id', () => {
  it('is unique and sorts by time, also when the clock stands still or goes back', () => {
    let now = 1_795_000_000_000
    const ids = idMaker({ now: () => now, after: () => ({ cancel() {}, refresh() {} }) }, random(0.5))
    const made: string[] = []
    for (let index = 0; index < 60_000; index++) {
      if (index % 20_000 === 10_000) now -= 5
      if (index % 20_000 === 0) now += 1
      made.push(ids.next())
    }
    expect(new Set(made).size).toBe(made.length)
    expect(made.every((id, index) => index === 0 || id > made[index - 1]!)).toBe(true)
    expect(made.every((id) => /^[0-9a-z]{17}$/.test(id))).toBe(true)
  })

  it('differs from those of another maker at the same instant', () => {
    const clock = { now: () => 1_795_000_000_000, after: () => ({ cancel() {}, refresh() {} }) }
    expect(idMaker(clock, random(0.1)).next()).not.toBe(idMaker(clock, random(0.2)).next())
  })
})
