/**
 * How long which mail is tried, and when again: what the queue does usually, and a table of exceptions by transport,
 * destination, label, or a host's own predicate. The first rule that fits counts; what it leaves open is as usual.
 */
import {
  type Claim,
  type Duration,
  type Labels,
  type Lane,
  type Mailbox,
  MailwrightError,
  milliseconds,
  parseLaneKey,
} from '@mailwright/core'
import { dependable } from './dependable-retry.ts'
import { type RetrySchedule, retryByAge } from './retry.ts'
import { type RetryPlan, scheduleOf } from './retry-list.ts'

/** What counts for one entry. */
export interface RetryRules {
  readonly schedule: RetrySchedule
  readonly lifetimeMs: number
  /** For notices: mail of the null sender. */
  readonly bounceLifetimeMs: number
}

/** What the queue does with mail that is deferred. */
export interface RetryOptions {
  /** When a deferred recipient is tried again. Default Postfix's: `retryByAge('300s', '4000s')`. */
  readonly retry?: RetryPlan
  /** How long mail is tried before it is returned. Default 5 days; 0 means one attempt. */
  readonly lifetime?: Duration
  /** The same for notices. Default 5 days. */
  readonly bounceLifetime?: Duration
}

/** Mail that is tried otherwise. All given conditions must hold. */
export interface RetryException extends RetryOptions {
  readonly transport?: string
  /** A next hop as lanes write it: `example.com`, `[192.0.2.1]:25`. */
  readonly destination?: string
  /** Labels the mail must have, with these values. */
  readonly labels?: Labels
  /** Anything else. One that throws is a `failure` event, and does not fit. */
  readonly when?: (mail: RetriedMail) => boolean
}

/** What an exception may go by. */
export interface RetriedMail {
  readonly lane: Lane
  /** `null` is the null sender of notices. */
  readonly sender: Mailbox | null
  readonly labels: Labels
}

/** The rules for a claimed entry. */
export type RulesFor = (claim: Claim) => RetryRules

/** Postfix's defaults. */
export const POSTFIX_RULES: RetryRules = {
  schedule: retryByAge(),
  lifetimeMs: milliseconds('5d'),
  bounceLifetimeMs: milliseconds('5d'),
}

const NO_LABELS: Labels = {}

/** What the queue does usually. Schedules that fail are told to `report`, and replaced by five minutes. */
export function usualRules(given: RetryOptions, usual: RetryRules, report: (error: unknown) => void): RetryRules {
  const { retry, lifetime, bounceLifetime } = given
  return {
    schedule: retry === undefined ? usual.schedule : dependable(scheduleOf(retry), report),
    lifetimeMs: lifetime === undefined ? usual.lifetimeMs : milliseconds(lifetime),
    bounceLifetimeMs: bounceLifetime === undefined ? usual.bounceLifetimeMs : milliseconds(bounceLifetime),
  }
}

/**
 * Looks rules up in a table; undefined for an empty one. `transports` are the names there are.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for an exception that can never hold
 */
export function exceptionalRules(
  exceptions: readonly RetryException[],
  usual: RetryRules,
  transports: ReadonlySet<string>,
  report: (error: unknown) => void,
): RulesFor | undefined {
  if (exceptions.length === 0) return undefined
  const table = exceptions.map((exception) => {
    const { transport } = exception
    if (transport !== undefined && !transports.has(transport))
      throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `a retry exception names no transport: ${transport}`)
    return { exception, rules: usualRules(exception, usual, report) }
  })
  return (claim) => {
    const mail: RetriedMail = {
      lane: parseLaneKey(claim.entry.lane),
      sender: claim.entry.sender,
      labels: claim.options.labels ?? NO_LABELS,
    }
    return table.find(({ exception }) => fits(exception, mail, report))?.rules ?? usual
  }
}

function fits(exception: RetryException, mail: RetriedMail, report: (error: unknown) => void): boolean {
  const { transport, destination, labels, when } = exception
  if (transport !== undefined && transport !== mail.lane.transport) return false
  if (destination !== undefined && destination.toLowerCase() !== mail.lane.destination.toLowerCase()) return false
  for (const label in labels) if (mail.labels[label] !== labels[label]) return false
  if (when === undefined) return true
  try {
    return when(mail)
  } catch (error) {
    report(error)
    return false
  }
}
