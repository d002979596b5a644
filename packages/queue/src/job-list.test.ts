import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { JobList, type Peer, POSTFIX_PREEMPTION, type PreemptionRules } from './job-list.ts'

/** Rules without loans: what goes first has been earned. */
const PAID: PreemptionRules = { slotCost: 2, slotLoan: 0, slotDiscount: 0, minimumSlots: 3 }

interface Line extends Peer<Line> {
  readonly name: string
}

function line(name: string): Line {
  return { name, job: undefined, listed: 0 }
}

/** Messages with so many recipients each, numbered from 1, all for one destination with one slot; who went when. */
function trace(sizes: readonly number[], rules: PreemptionRules): string {
  const list = new JobList<Line>(rules, () => true)
  for (const [index, size] of sizes.entries()) list.add(String(index + 1), line(String(index + 1)), size, 0)
  return everybody(list)
}

function everybody(list: JobList<Line>, now = 0): string {
  let went = ''
  for (let next = list.select(now); next !== undefined; next = list.select(now)) went += next.name
  return went
}

describe('a big message', () => {
  it('lets small ones pass once it has earned their slots', () => {
    expect(trace([10, 2, 2], PAID)).toBe('11112211113311')
  })

  it('lets them pass at half of that with a discount, and still earns the rest before the next', () => {
    expect(trace([10, 2, 2], { ...PAID, slotDiscount: 50 })).toBe('11221111331111')
  })

  it('and messages of one recipient go in turns where a slot costs one', () => {
    expect(trace([4, 1, 1, 1, 1], { ...PAID, slotCost: 1 })).toBe('12131415')
  })

  it('lets nobody pass when it cannot earn enough slots', () => {
    expect(trace([5, 1], PAID)).toBe('111112')
    expect(trace([14, 1], POSTFIX_PREEMPTION)).toBe('111111111111112')
  })

  it('lets nobody pass who needs more than it can still earn', () => {
    expect(trace([10, 6, 1], PAID)).toBe('11311111111222222')
  })

  it('is hardly noticed by a message of one recipient, with what may be borrowed', () => {
    expect(trace([20, 1], POSTFIX_PREEMPTION)).toBe(`12${'1'.repeat(19)}`)
  })

  it('is passed by one that lets a smaller one pass in turn', () => {
    const list = new JobList<Line>({ ...PAID, minimumSlots: 1 }, () => true)
    list.add('1', line('1'), 40, 0)
    list.add('2', line('2'), 8, 0)
    let went = ''
    while (!went.endsWith('22')) went += list.select(0)!.name
    list.add('3', line('3'), 1, 0)
    expect(went + everybody(list)).toBe(`${'1'.repeat(16)}223222222${'1'.repeat(24)}`)
  })
})

describe('who passes', () => {
  it('is who has waited longest for its size', () => {
    const list = new JobList<Line>(PAID, () => true)
    list.add('1', line('1'), 12, 0)
    list.add('2', line('2'), 2, 10)
    list.add('3', line('3'), 1, 50)
    list.add('4', line('4'), 1, 80)
    // At 100: 2 has 91 for two recipients, 3 has 51 for one, 4 has 21.
    expect(everybody(list, 100)).toBe('1131111221141111')
  })

  it('does not wait for a destination that is full', () => {
    const full = new Set<string>()
    const list = new JobList<Line>(PAID, ({ name }) => !full.has(name))
    list.add('1', line('a'), 3, 0)
    list.add('2', line('b'), 1, 0)
    full.add('a')
    expect(list.select(0)?.name).toBe('b')
    expect(list.select(0)).toBeUndefined()
    full.delete('a')
    expect(everybody(list)).toBe('aaa')
  })

  it('is nobody whose destination is full', () => {
    const list = new JobList<Line>({ ...PAID, slotCost: 1 }, ({ name }) => name !== 'full')
    list.add('1', line('a'), 4, 0)
    list.add('2', line('full'), 1, 0)
    list.add('3', line('b'), 1, 0)
    expect(everybody(list)).toBe('abaaa')
  })

  it('is served line by line', () => {
    const list = new JobList<Line>(PAID, () => true)
    for (const name of 'abc') list.add('1', line(name), 2, 0)
    expect(everybody(list)).toBe('abcabc')
  })

  it('is earlier with a higher priority, and never behind those who came later', () => {
    const list = new JobList<Line>(PAID, () => true)
    list.add('1', line('1'), 1, 100)
    list.add('2', line('2'), 1, 110)
    list.add('3', line('3'), 1, 50)
    list.add('4', line('4'), 1, 120)
    expect(everybody(list)).toBe('3124')
  })

  it('is not asked for what was withdrawn', () => {
    const list = new JobList<Line>(PAID, () => true)
    const [one, other] = [line('a'), line('b')]
    list.add('1', one, 3, 0)
    list.add('1', other, 1, 0)
    list.add('2', line('c'), 1, 0)
    list.withdraw(one)
    list.withdraw(one)
    expect(one).toMatchObject({ job: undefined, listed: 0 })
    expect(everybody(list)).toBe('bc')
    expect(list.size).toBe(0)
  })
})

const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 30 })
const rules = fc.record({
  slotCost: fc.integer({ min: 2, max: 6 }),
  slotLoan: fc.nat(4),
  slotDiscount: fc.constantFrom(0, 50, 100),
  minimumSlots: fc.nat(4),
})

/** When the first message is done, others having come before each of its slots, as the history says. */
function doneAfter(first: number, others: readonly number[], given: PreemptionRules): number {
  const list = new JobList<Line>(given, () => true)
  list.add('first', line('first'), first, 0)
  let done = 0
  for (let turn = 1, left = first; left > 0; turn++) {
    const next = others[turn - 1]
    if (next !== undefined) list.add(`other ${turn}`, line(`other ${turn}`), next, turn)
    if (list.select(turn)!.name === 'first') left -= 1
    done = turn
  }
  return done
}

describe('whatever comes behind a big message', () => {
  it('slows it down by no more than a slot for each k of its recipients, where nobody passes those who pass', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200 }), sizes, rules, (first, others, given) => {
        // Too small to earn a slot for others.
        const small = others.map((size) => Math.min(size, given.slotCost - 1))
        expect(doneAfter(first, small, { ...given, minimumSlots: 1 })).toBeLessThanOrEqual(
          (first * (given.slotCost + 1)) / given.slotCost,
        )
      }),
      { numRuns: 500, seed: 1 },
    )
  })

  it('slows it down by no more than k/(k-1) at all', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200 }), sizes, rules, (first, others, given) => {
        expect(doneAfter(first, others, given)).toBeLessThanOrEqual(
          (first * given.slotCost) / (given.slotCost - 1) + 1e-9,
        )
      }),
      { numRuns: 500, seed: 2 },
    )
  })

  it('goes, each of it once, whichever destinations are full meanwhile', () => {
    const plan = fc.array(fc.record({ job: fc.nat(5), line: fc.nat(7), count: fc.integer({ min: 1, max: 20 }) }))
    fc.assert(
      fc.property(plan, rules, fc.infiniteStream(fc.nat(255)), (waiting, given, weather) => {
        let full = 0
        const lines = Array.from({ length: 8 }, (_, name) => line(String(name)))
        const list = new JobList<Line>(given, ({ name }) => (full & (1 << Number(name))) === 0)
        const expected = new Map<string, number>()
        for (const each of waiting) {
          const at = lines[each.line]!
          if (at.job !== undefined && at.job.key !== String(each.job)) continue
          list.add(String(each.job), at, each.count, 0)
          expected.set(at.name, (expected.get(at.name) ?? 0) + each.count)
        }
        for (let turn = 0; list.size > 0; turn++) {
          full = turn % 3 === 0 ? 0 : weather.next().value!
          const next = list.select(turn)
          if (next === undefined) continue
          expect(full & (1 << Number(next.name))).toBe(0)
          expected.set(next.name, expected.get(next.name)! - 1)
        }
        expect([...expected.values()].every((left) => left === 0)).toBe(true)
        expect(lines.every(({ job, listed }) => job === undefined && listed === 0)).toBe(true)
      }),
      { numRuns: 300, seed: 3 },
    )
  })
})
