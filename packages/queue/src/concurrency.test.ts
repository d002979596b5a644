import { describe, expect, it } from 'vitest'
import { type ConcurrencyOptions, freshConcurrency, punish, revive, reward } from './concurrency.ts'

const POSTFIX: ConcurrencyOptions = { initial: 5, limit: 20, failedCohortLimit: 1 }

/** The window after each answer of a destination that is always fully used: `+` got through, `-` did not. */
function windows(answers: string, options: ConcurrencyOptions = POSTFIX): (number | 'dead')[] {
  const state = freshConcurrency(options)
  return [...answers].map((answer) => {
    if (answer === '+') reward(state, state.window, options)
    else if (punish(state, options) === 'dead') return 'dead'
    return state.window
  })
}

describe('the window of a destination', () => {
  it('grows by one with each delivery while it is all in use, up to the limit', () => {
    expect(windows('+'.repeat(17))).toEqual([6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 20, 20])
  })

  it('grows by one only for mail delivered one at a time: more would teach nothing', () => {
    const state = freshConcurrency(POSTFIX)
    for (let delivery = 0; delivery < 10; delivery++) reward(state, 1, POSTFIX)
    expect(state.window).toBe(6)
  })

  it('stays as far ahead of what is in use as the first window, and no farther', () => {
    const state = freshConcurrency(POSTFIX)
    for (let delivery = 0; delivery < 30; delivery++) reward(state, 3, POSTFIX)
    expect(state.window).toBe(8)
    reward(state, 4, POSTFIX)
    expect(state.window).toBe(9)
  })

  it('shrinks at the start of a failure, by two for the first and by one for the next', () => {
    expect(windows('---')).toEqual([3, 2, 'dead'])
  })

  it('forgives failures at the first delivery that gets through', () => {
    expect(windows('--+-+--')).toEqual([3, 2, 3, 1, 2, 1, 'dead'])
  })

  it('is dead after as many failures as make a cohort, each counted by the window it met', () => {
    const wide: ConcurrencyOptions = { initial: 20, limit: 20, failedCohortLimit: 1 }
    // 1/20 + 1/18 + 1/17 + … reaches 1 with the thirteenth.
    expect(windows('-'.repeat(13), wide)).toEqual([18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 'dead'])
  })

  it('is dead at once where only one attempt is allowed', () => {
    expect(windows('-', { ...POSTFIX, limit: 1 })).toEqual(['dead'])
  })

  it('takes two cohorts where two are allowed', () => {
    expect(windows('------', { ...POSTFIX, failedCohortLimit: 2 })).toEqual([3, 2, 1, 'dead', 'dead', 'dead'])
  })

  it('never falls below one, and is never dead, where cohorts do not count', () => {
    expect(windows('-------', { ...POSTFIX, failedCohortLimit: 0 })).toEqual([3, 2, 1, 1, 1, 1, 1])
  })

  it('starts no wider than the limit', () => {
    expect(freshConcurrency({ ...POSTFIX, limit: 2 }).window).toBe(2)
    expect(windows('++', { ...POSTFIX, limit: 2 })).toEqual([2, 2])
  })
})

describe('a dead destination that comes back', () => {
  it('gets as many attempts as are still under way, or the first window when there are none', () => {
    const state = freshConcurrency(POSTFIX)
    for (let failure = 0; failure < 3; failure++) punish(state, POSTFIX)
    revive(state, 2, POSTFIX)
    expect(state).toEqual({ window: 2, success: 0, failure: 0, failedCohorts: 0 })
    revive(state, 0, POSTFIX)
    expect(state.window).toBe(5)
  })

  it('gets no more than the limit', () => {
    const state = freshConcurrency(POSTFIX)
    revive(state, 30, POSTFIX)
    expect(state.window).toBe(20)
  })
})
