/**
 * How many attempts a destination may have at once, learnt from how it answers: Postfix's concurrency feedback
 * (SCHEDULER_README, `qmgr_queue.c`). Each success may widen the window, each unreachable attempt narrows it; a whole
 * cohort of failures, counted in windows, makes the destination dead for a while.
 */

export interface ConcurrencyOptions {
  /** The first window. */
  readonly initial: number
  /** The widest window. */
  readonly limit: number
  /** How many cohorts must fail before the destination is dead. 0 = never. */
  readonly failedCohortLimit: number
}

export interface Concurrency {
  window: number
  success: number
  failure: number
  failedCohorts: number
}

/** Positive and negative feedback: one step for each attempt. */
const FEEDBACK = 1

export function freshConcurrency({ initial, limit }: ConcurrencyOptions): Concurrency {
  return { window: Math.min(initial, limit), success: 0, failure: 0, failedCohorts: 0 }
}

/** A dead destination gets another chance: as many attempts as are still under way, or the first window. */
export function revive(state: Concurrency, busy: number, options: ConcurrencyOptions): void {
  Object.assign(state, freshConcurrency(options))
  if (busy > 0) state.window = Math.min(busy, options.limit)
}

/** The destination answered. `busy` is how many attempts were under way, with this one. */
export function reward(state: Concurrency, busy: number, options: ConcurrencyOptions): void {
  state.failedCohorts = 0
  // Beyond what is used there is nothing to learn: the window grows only while it is needed.
  if (state.window >= options.limit || state.window >= busy + options.initial) return
  state.success += FEEDBACK
  while (state.success + FEEDBACK / 2 >= 1 && state.window < options.limit) {
    state.window += 1
    state.success -= 1
    state.failure = 0
  }
}

/** The destination could not be reached. Answers whether it is to be taken for dead. */
export function punish(state: Concurrency, options: ConcurrencyOptions): 'alive' | 'dead' {
  state.failedCohorts += 1 / state.window
  if (options.failedCohortLimit > 0 && state.failedCohorts >= options.failedCohortLimit) return 'dead'
  state.failure -= FEEDBACK
  while (state.failure - FEEDBACK / 2 < 0) {
    state.window -= 1
    state.success = 0
    state.failure += 1
  }
  state.window = Math.max(state.window, 1)
  return 'alive'
}
