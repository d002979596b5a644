import fc from 'fast-check'
import { expect, it } from 'vitest'
import { SchedulerModel, type Step } from './testing-support/scheduler-model.ts'

const number = fc.nat(9)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('arrive' as const), lane: fc.nat(5) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('appear' as const), lane: fc.nat(5), inMs: fc.nat(2_000) }),
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
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('pause' as const), lane: fc.nat(5), ms: fc.nat(1_500) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('suspend' as const),
      lanes: fc.oneof(fc.constant('all' as const), fc.array(fc.nat(5), { maxLength: 2 }), fc.constant([])),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('keep-back' as const),
      which: number,
      how: fc.constantFrom('return' as const, 'let-go' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('rest' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('recall' as const),
      lane: fc.nat(5),
      count: fc.integer({ min: 1, max: 5 }),
    }),
  },
)

const manners = fc.record({
  initial: fc.constant(1),
  limit: fc.constant(1),
  failedCohortLimit: fc.constantFrom(0, 1),
  rateDelayMs: fc.constantFrom(0, 300),
  transportRateDelayMs: fc.constant(0),
})

/** All destinations together, one at a time. */
const oneByOne = { initial: 1, limit: 1, failedCohortLimit: 1, rateDelayMs: 0, transportRateDelayMs: 200 }

const options = fc.record({
  initial: fc.integer({ min: 1, max: 3 }),
  limit: fc.integer({ min: 1, max: 5 }),
  failedCohortLimit: fc.constantFrom(0, 1, 2),
  maxAttempts: fc.integer({ min: 1, max: 6 }),
  ahead: fc.constantFrom(0, 1, 4),
  aheadOfAll: fc.integer({ min: 0, max: 6 }),
  deadMs: fc.constant(1_000),
  surveyLimit: fc.integer({ min: 1, max: 5 }),
  share: fc.constantFrom(0.2, 0.5, 0.8),
  manners: fc.oneof(
    fc.constant({}),
    fc.record({ 0: manners }),
    fc.record({ 0: manners, 2: manners }),
    fc.constant({ 0: oneByOne, 1: oneByOne, 2: oneByOne }),
  ),
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
