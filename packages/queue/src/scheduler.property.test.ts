import fc from 'fast-check'
import { expect, it } from 'vitest'
import { SchedulerModel, type Step } from './testing-support/scheduler-model.ts'

const number = fc.nat(9)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('arrive' as const), lane: fc.nat(4) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('appear' as const), lane: fc.nat(4), inMs: fc.nat(2_000) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('answer' as const),
      which: number,
      how: fc.constantFrom('stale' as const, 'stale' as const, 'fresh' as const, 'failing' as const),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('finish' as const),
      which: number,
      how: fc.constantFrom(
        'ok' as const,
        'deferred' as const,
        'unreachable' as const,
        'unreachable' as const,
        'lost' as const,
      ),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.nat(1_500) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('flush' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('rest' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('recall' as const),
      lane: fc.nat(4),
      count: fc.integer({ min: 1, max: 5 }),
    }),
  },
)

const options = fc.record({
  initial: fc.integer({ min: 1, max: 3 }),
  limit: fc.integer({ min: 1, max: 5 }),
  failedCohortLimit: fc.constantFrom(0, 1, 2),
  maxAttempts: fc.integer({ min: 1, max: 6 }),
  ahead: fc.constantFrom(0, 1, 4),
  aheadOfAll: fc.integer({ min: 0, max: 6 }),
  deadMs: fc.constant(1_000),
  surveyLimit: fc.integer({ min: 1, max: 5 }),
})

it('whatever comes and goes, no lane and no server does more than it may, and no mail is forgotten', () => {
  fc.assert(
    fc.property(options, fc.array(step, { maxLength: 100, size: 'max' }), (given, history) => {
      const model = new SchedulerModel(given)
      for (const each of history) model.play(each)
      expect(model.playOut()).toEqual({ mail: 0, taken: 0, lanes: 0, questions: 0 })
    }),
    { numRuns: 2_000, seed: 20_260_101 },
  )
})

it('whenever the server stops, what is tried ends and is settled, and all other mail is back in the store', () => {
  const history = fc.array(step, { maxLength: 40, size: 'max' })
  fc.assert(
    fc.property(options, history, history, (given, before, after) => {
      const model = new SchedulerModel(given)
      for (const each of before) model.play(each)
      model.play({ do: 'drain' })
      for (const each of after) model.play(each)
      expect(model.playOut()).toEqual({ mail: 0, taken: 0, lanes: 0, questions: 0 })
    }),
    { numRuns: 1_000, seed: 20_260_102 },
  )
})
