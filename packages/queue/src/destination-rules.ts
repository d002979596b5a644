/**
 * What a destination may be asked to take, as the host says it: by a table of transports and destinations, or by a
 * function. What is not said is as the queue has it for everybody.
 */
import { type Duration, destinationKey, type Lane, MailwrightError, milliseconds, parseLaneKey } from '@mailwright/core'
import type { ConcurrencyOptions, Feedback } from './concurrency.ts'

/** How far one attempt moves the window of its destination: by `x`, by `x` of the window, or of its square root. */
export type FeedbackOption = number | `${number}/N` | `${number}/sqrt(N)`

/** For a destination, or for each destination of a transport. */
export interface DestinationOptions {
  /** Attempts at first. */
  readonly initial?: number
  /** Most attempts; `Infinity`: as many as it proves to take. */
  readonly limit?: number
  /** What an attempt that was answered adds to the window. Default 1. */
  readonly positive?: FeedbackOption
  /** What an attempt that could not connect takes from it. Default 1. */
  readonly negative?: FeedbackOption
  /** How many cohorts must fail before it is left alone; 0: it never is. Default 1. */
  readonly failedCohortLimit?: number
  /** Most recipients of one attempt. */
  readonly recipientLimit?: number
  /** With a pause after each attempt, and so only one at a time. Default none. */
  readonly rateDelay?: Duration
  /** The same for all destinations of the transport together. Only where the transport is named. Default none. */
  readonly transportRateDelay?: Duration
}

/** By transport (`smtp`) or destination (`smtp:example.com`), which goes before; or a function, asked for each destination. */
export type ConcurrencyTable =
  | Readonly<Record<string, DestinationOptions>>
  | ((lane: Lane) => DestinationOptions | undefined)

/** The same, ready for use. */
export interface DestinationRules extends ConcurrencyOptions {
  readonly recipientLimit: number
  readonly rateDelayMs: number
  readonly transportRateDelayMs: number
}

/** The rules of a lane's destination. */
export type RulesOf = (lane: string) => DestinationRules

/**
 * Reads the option.
 *
 * @param usual the rules of those of whom nothing is said
 * @param failed told when the host's function throws, or answers nonsense; the usual rules then hold
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for a table with values that are none.
 */
export function destinationRules(
  table: ConcurrencyTable | undefined,
  usual: DestinationRules,
  failed: (error: unknown) => void,
): RulesOf {
  if (table === undefined) return () => usual
  if (typeof table === 'function') {
    return (lane) => {
      try {
        const said = table(parseLaneKey(destinationKey(lane)))
        return said === undefined ? usual : rulesOf('a destination', said, usual)
      } catch (error) {
        failed(error)
        return usual
      }
    }
  }
  const known = new Map<string, DestinationRules>()
  const byTransportFirst = Object.entries(table).sort(([one], [other]) => width(one) - width(other))
  for (const [key, said] of byTransportFirst)
    known.set(key, rulesOf(key, said, known.get(key.slice(0, key.indexOf(':'))) ?? usual))
  return (lane) => {
    const key = destinationKey(lane)
    return known.get(key) ?? known.get(key.slice(0, key.indexOf(':'))) ?? usual
  }
}

function width(key: string): number {
  return key.includes(':') ? 1 : 0
}

function rulesOf(key: string, said: DestinationOptions, usual: DestinationRules): DestinationRules {
  const rateDelayMs = said.rateDelay === undefined ? usual.rateDelayMs : milliseconds(said.rateDelay)
  const limit = rateDelayMs > 0 ? 1 : atLeast(1, key, 'limit', said.limit ?? usual.limit)
  return {
    initial: atLeast(1, key, 'initial', Math.min(said.initial ?? usual.initial, limit)),
    limit,
    failedCohortLimit: atLeast(0, key, 'failedCohortLimit', said.failedCohortLimit ?? usual.failedCohortLimit),
    positive: said.positive === undefined ? usual.positive : feedbackOf(key, said.positive),
    negative: said.negative === undefined ? usual.negative : feedbackOf(key, said.negative),
    recipientLimit: atLeast(1, key, 'recipientLimit', said.recipientLimit ?? usual.recipientLimit),
    rateDelayMs,
    transportRateDelayMs:
      said.transportRateDelay === undefined ? usual.transportRateDelayMs : milliseconds(said.transportRateDelay),
  }
}

function feedbackOf(key: string, option: FeedbackOption): Feedback {
  const match = /^(\d+(?:\.\d+)?)(\/N|\/sqrt\(N\))?$/.exec(String(option))
  if (match === null) throw wrong(key, `not a feedback: ${option}`)
  const step = Number(match[1])
  // More than the whole window for one attempt is a slip, and would take long to count.
  if (step > 1_000) throw wrong(key, `a feedback of ${option}`)
  const per = match[2] === undefined ? 'attempt' : match[2] === '/N' ? 'window' : 'root'
  return { step, per }
}

function atLeast(least: number, key: string, option: string, value: number): number {
  if (value >= least) return value
  throw wrong(key, `${option} must be at least ${least}, not ${value}`)
}

function wrong(key: string, problem: string): MailwrightError {
  return new MailwrightError('ERR_MAILWRIGHT_CONFIG', `concurrency of ${key}: ${problem}`)
}
