/**
 * How many attempts a destination may have at once, learnt from how it answers: Postfix's concurrency feedback
 * (SCHEDULER_README, `qmgr_queue.c`). Successes widen the window, unreachable attempts narrow it; a whole cohort of
 * failures, counted in windows, makes the destination dead for a while. A widening comes at the end of the successes that
 * it takes, a narrowing at the beginning of the failures.
 */

/** How far one attempt moves the window: by a number; by a part of the window; or by a part of its square root. */
export interface Feedback {
  readonly step: number
  readonly per: 'attempt' | 'window' | 'root'
}

export interface ConcurrencyOptions {
  /** The first window. */
  readonly initial: number
  /** The widest window; infinity: no limit. */
  readonly limit: number
  /** How many cohorts must fail before the destination is dead. 0 = never. */
  readonly failedCohortLimit: number
  /** What a success is worth. Default one for each attempt. */
  readonly positive?: Feedback | undefined
  /** What a failure costs. Default one for each attempt. */
  readonly negative?: Feedback | undefined
}

export interface Concurrency {
  window: number
  success: number
  failure: number
  failedCohorts: number
}

export function freshConcurrency({ initial, limit }: ConcurrencyOptions): Concurrency {
  return { window: Math.min(initial, limit), success: 0, failure: 0, failedCohorts: 0 }
}

/** A dead destination gets another chance: as many attempts as are still under way, or the first window. */
export function revive(state: Concurrency, busy: number, options: ConcurrencyOptions): void {
  state.window = Math.min(busy > 0 ? busy : options.initial, options.limit)
  state.success = 0
  state.failure = 0
  state.failedCohorts = 0
}

/** The destination answered. `busy` is how many attempts were under way, with this one. */
export function reward(state: Concurrency, busy: number, options: ConcurrencyOptions): void {
  state.failedCohorts = 0
  // Beyond what is used there is nothing to learn: the window grows only while it is needed.
  if (state.window >= options.limit || state.window >= busy + options.initial) return
  const feedback = worth(options.positive, state.window)
  state.success += feedback
  // Half a step more or less is a rounding error: three thirds make one.
  while (state.success + feedback / 2 >= 1) {
    state.window += 1
    state.success -= 1
    state.failure = 0
  }
  state.window = Math.min(state.window, options.limit)
}

/** The destination could not be reached. Answers whether it is to be taken for dead. */
export function punish(state: Concurrency, options: ConcurrencyOptions): 'alive' | 'dead' {
  state.failedCohorts += 1 / state.window
  if (options.failedCohortLimit > 0 && state.failedCohorts >= options.failedCohortLimit) return 'dead'
  const feedback = worth(options.negative, state.window)
  state.failure -= feedback
  while (state.failure - feedback / 2 < 0) {
    state.window -= 1
    state.success = 0
    state.failure += 1
  }
  state.window = Math.max(state.window, 1)
  return 'alive'
}

function worth(feedback: Feedback | undefined, window: number): number {
  if (feedback === undefined) return 1
  if (feedback.per === 'attempt') return feedback.step
  return feedback.step / (feedback.per === 'window' ? window : Math.sqrt(window))
}
