/**
 * What an answer is about: tables of patterns by category, read against the answer as one line, and what a host wants
 * done about a category. Read only for refusals and deferrals, and only when somebody wants to know.
 *
 * An answer is outside input: no more than its first 1,000 characters are read (`deferralText`). Patterns are the host's own; keep them
 * free of nested repetition.
 */
import {
  type DeferredOutcome,
  type Duration,
  deferralText,
  type FailedOutcome,
  milliseconds,
  type ResponseCategory,
} from '@mailwright/core'
import { dependable } from './dependable-retry.ts'
import type { RetrySchedule } from './retry.ts'
import { type RetryPlan, scheduleOf } from './retry-list.ts'

/** One line of a table. The first pattern that matches counts. */
export interface ResponseRule {
  readonly category: ResponseCategory
  /** Read against `450 4.2.0 text`: code, enhanced code where there is one, and the lines joined. */
  readonly pattern: RegExp
  /** What to do about it, instead of what is usual for the category. */
  readonly reaction?: ResponseReaction
}

/** What to do about an answer. What is left out is as usual. */
export interface ResponseReaction {
  /** When to try again. */
  readonly retry?: RetryPlan
  /** Leaves the lane alone for so long. */
  readonly pause?: Duration
  /** Takes a refusal for good as one for now, until the lifetime is over; or a deferral as a refusal for good. */
  readonly as?: 'deferral' | 'failure'
  /** Writes no more to a recipient that has failed with it, for so long. Needs `suppressions`. */
  readonly suppress?: Duration | 'for-good'
}

export type Reactions = Partial<Readonly<Record<ResponseCategory, ResponseReaction>>>

/** An answer, read. */
export interface Reading {
  readonly category: ResponseCategory
  readonly reaction: PreparedReaction | undefined
}

export interface PreparedReaction {
  readonly schedule: RetrySchedule | undefined
  readonly pauseMs: number
  readonly as: 'deferral' | 'failure' | undefined
  /** Infinite: for good. 0: not at all. */
  readonly suppressMs: number
}

/** Reads answers. */
export interface ResponseReader {
  read(outcome: DeferredOutcome | FailedOutcome): Reading
  /** Whether anything is to be done about any answer: otherwise they are read for events alone. */
  readonly reacts: 'yes' | 'no'
  /** Whether a reaction needs a list of suppressions. */
  readonly suppresses: 'yes' | 'no'
}

/**
 * Makes a reader of a table and of reactions by category. A schedule that fails is told to `report`.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for durations and lists that are none
 */
export function responseReader(
  table: readonly ResponseRule[],
  reactions: Reactions,
  report: (error: unknown) => void,
): ResponseReader {
  const usual = new Map<ResponseCategory, PreparedReaction>()
  for (const [category, reaction] of Object.entries(reactions))
    usual.set(category as ResponseCategory, prepared(reaction, report))
  const rules = table.map(({ category, pattern, reaction }) => ({
    // Without memory of where the last match ended.
    pattern: new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, '')),
    reading: { category, reaction: reaction === undefined ? usual.get(category) : prepared(reaction, report) },
  }))
  const all = [...usual.values(), ...rules.flatMap(({ reading }) => reading.reaction ?? [])]
  const unknown: Reading = { category: 'other', reaction: usual.get('other') }
  return {
    reacts: all.length > 0 ? 'yes' : 'no',
    suppresses: all.some(({ suppressMs }) => suppressMs > 0) ? 'yes' : 'no',
    read(outcome: DeferredOutcome | FailedOutcome): Reading {
      const line = deferralText(outcome)
      return rules.find(({ pattern }) => pattern.test(line))?.reading ?? unknown
    },
  }
}

function prepared(reaction: ResponseReaction, report: (error: unknown) => void): PreparedReaction {
  const { retry, pause, suppress } = reaction
  return {
    schedule: retry === undefined ? undefined : dependable(scheduleOf(retry), report),
    pauseMs: pause === undefined ? 0 : milliseconds(pause),
    as: reaction.as,
    suppressMs:
      suppress === undefined ? 0 : suppress === 'for-good' ? Number.POSITIVE_INFINITY : milliseconds(suppress),
  }
}
