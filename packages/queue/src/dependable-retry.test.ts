import { seededRandom } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { dependable } from './dependable-retry.ts'
import { retryAfter } from './retry.ts'

describe('a schedule that does not answer', () => {
  const deferral = { now: 0, arrivedAt: 0, attempt: 1, random: seededRandom(1) }

  it.each([Number.NaN, Number.POSITIVE_INFINITY, -1])('is replaced by five minutes when it says %d', (wait) => {
    const errors: unknown[] = []
    expect(
      dependable(
        () => wait,
        (error) => errors.push(error),
      )(deferral),
    ).toBe(300_000)
    expect(errors).toMatchObject([{ code: 'ERR_MAILWRIGHT_CONFIG' }])
  })

  it('is replaced by five minutes when it throws', () => {
    const errors: unknown[] = []
    const schedule = dependable(
      () => {
        throw new Error('no table')
      },
      (error) => errors.push(error),
    )
    expect(schedule(deferral)).toBe(300_000)
    expect(errors).toMatchObject([{ message: 'no table' }])
  })

  it('is not touched when it does', () => {
    expect(dependable(retryAfter('7m'), () => expect.unreachable())(deferral)).toBe(420_000)
  })
})
