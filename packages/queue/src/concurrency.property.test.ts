/** The window against an independent reading of Postfix's rules, in the order in which its documentation tells them. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { type ConcurrencyOptions, type Feedback, freshConcurrency, punish, revive, reward } from './concurrency.ts'

type Answer = { readonly what: 'through' | 'unreachable'; readonly busy: number } | { readonly what: 'retry' }

/** As a clerk would keep it, on paper: the window, marks for and against, and the failed part of a cohort. */
class Paper {
  window: number
  marksFor = 0
  marksAgainst = 0
  cohorts = 0
  dead = false
  readonly #options: ConcurrencyOptions

  constructor(options: ConcurrencyOptions) {
    this.#options = options
    this.window = Math.min(options.initial, options.limit)
  }

  through(busy: number): void {
    const { limit, initial, positive } = this.#options
    this.cohorts = 0
    if (this.dead) {
      this.fresh(busy)
      return
    }
    if (!(this.window < limit && this.window < busy + initial)) return
    const g = this.#feedback(positive)
    let marks = this.marksFor + g
    let steps = 0
    for (; marks + g / 2 >= 1; steps++) marks -= 1
    if (steps > 0) this.marksAgainst = 0
    this.marksFor = marks
    this.window += steps
    if (this.window > limit) this.window = limit
  }

  unreachable(): void {
    if (this.dead) return
    const { failedCohortLimit, negative } = this.#options
    this.cohorts += 1 / this.window
    if (failedCohortLimit > 0 && this.cohorts >= failedCohortLimit) {
      this.dead = true
      return
    }
    const f = this.#feedback(negative)
    let marks = this.marksAgainst - f
    let steps = 0
    for (; marks - f / 2 < 0; steps++) marks += 1
    if (steps > 0) this.marksFor = 0
    this.marksAgainst = marks
    this.window -= steps
    if (this.window < 1) this.window = 1
  }

  fresh(busy: number): void {
    const { initial, limit } = this.#options
    this.dead = false
    this.window = Math.min(limit, busy === 0 ? initial : busy)
    this.marksFor = 0
    this.marksAgainst = 0
    this.cohorts = 0
  }

  #feedback(feedback: Feedback = { step: 1, per: 'attempt' }): number {
    const { step, per } = feedback
    return { attempt: step, window: step / this.window, root: step / Math.sqrt(this.window) }[per]
  }
}

const feedback = fc.option(
  fc.record({
    step: fc.constantFrom(0, 0.1, 1 / 3, 0.5, 1, 1.5, 3),
    per: fc.constantFrom('attempt' as const, 'window' as const, 'root' as const),
  }),
  { nil: undefined },
)
const options = fc.record({
  initial: fc.integer({ min: 1, max: 25 }),
  limit: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constant(Number.POSITIVE_INFINITY)),
  failedCohortLimit: fc.constantFrom(0, 1, 1.5, 3),
  positive: feedback,
  negative: feedback,
})
const answer: fc.Arbitrary<Answer> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ what: fc.constant('through' as const), busy: fc.nat(60) }) },
  { weight: 4, arbitrary: fc.record({ what: fc.constant('unreachable' as const), busy: fc.nat(60) }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('retry' as const) }) },
)

it('whatever a destination answers, its window is the one the rules say', () => {
  fc.assert(
    fc.property(options, fc.array(answer, { maxLength: 200, size: 'max' }), (given, answers) => {
      const paper = new Paper(given)
      const state = freshConcurrency(given)
      let dead = false
      for (const each of answers) {
        if (each.what === 'through') {
          if (dead) revive(state, each.busy, given)
          else reward(state, each.busy, given)
          dead = false
          paper.through(each.busy)
        } else if (each.what === 'unreachable') {
          if (!dead) dead = punish(state, given) === 'dead'
          paper.unreachable()
        } else if (dead) {
          revive(state, 0, given)
          dead = false
          paper.fresh(0)
        }
        expect([dead, state.window]).toEqual([paper.dead, paper.window])
        expect(state.success).toBeCloseTo(paper.marksFor, 9)
        expect(state.failure).toBeCloseTo(paper.marksAgainst, 9)
        expect(state.window).toBeGreaterThanOrEqual(1)
        expect(state.window).toBeLessThanOrEqual(given.limit)
      }
    }),
    { numRuns: 1_000, seed: 20_260_103 },
  )
})
