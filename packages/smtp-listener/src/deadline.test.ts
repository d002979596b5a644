import { manualClock } from '@mailwright/testing'
import { expect, test } from 'vitest'
import { Deadline } from './deadline.ts'

function timed(): { clock: ReturnType<typeof manualClock>; deadline: Deadline; expired: number[] } {
  const clock = manualClock(0)
  const expired: number[] = []
  return { clock, expired, deadline: new Deadline(clock, () => expired.push(clock.now())) }
}

test('it expires at its time, once', async () => {
  const { clock, deadline, expired } = timed()
  deadline.set(1_000)
  await clock.advance(5_000)
  expect(expired).toEqual([1_000])
})

test('put off again and again it keeps one timer and expires at the last time given', async () => {
  const { clock, deadline, expired } = timed()
  for (let at = 1_000; at <= 3_000; at += 500) deadline.set(at)
  expect(clock.pending).toBe(1)
  await clock.advance(2_999)
  expect(expired).toEqual([])
  await clock.advance(1)
  expect(expired).toEqual([3_000])
})

test('brought nearer it expires earlier', async () => {
  const { clock, deadline, expired } = timed()
  deadline.set(5_000)
  deadline.set(1_000)
  expect(clock.pending).toBe(1)
  await clock.advance(10_000)
  expect(expired).toEqual([1_000])
})

test('put off for ever it does not expire, and can be set anew', async () => {
  const { clock, deadline, expired } = timed()
  deadline.set(1_000)
  deadline.set(Number.POSITIVE_INFINITY)
  await clock.advance(2_000)
  expect(clock.pending).toBe(0)
  deadline.set(2_500)
  await clock.advance(1_000)
  expect(expired).toEqual([2_500])
})

test('cancelled it leaves no timer', () => {
  const { clock, deadline } = timed()
  deadline.set(1_000)
  deadline.cancel()
  expect(clock.pending).toBe(0)
})
