/**
 * A way of deciding that is synchronous as long as the tables are. A decision is written once, as a generator that yields
 * each look-up; it runs through without a promise when every answer is there at once, and waits when one is not. So the
 * hot path, with tables in memory, costs no turn of the event loop.
 */
import type { Awaitable } from '@mailwright/core'

export type Steps<T> = Generator<Awaitable<unknown>, T, unknown>

/** Runs the steps: to the end if nothing has to be waited for, else up to the first wait. A failure is thrown or rejects. */
export function run<T>(steps: Steps<T>): Awaitable<T> {
  let step = steps.next()
  while (!step.done) {
    if (step.value instanceof Promise) return runOn(steps, step.value)
    step = steps.next(step.value)
  }
  return step.value
}

async function runOn<T>(steps: Steps<T>, first: Promise<unknown>): Promise<T> {
  let step = steps.next(await first)
  while (!step.done) step = steps.next(await step.value)
  return step.value
}
