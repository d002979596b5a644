/**
 * One stage of the dialogue: every policy is asked in declared order, and their answers become one ruling.
 * The first refusal ends the asking, as in a restriction list. A policy that throws, or takes longer than it may,
 * is a temporary refusal in its own name: never a pass.
 *
 * Policies that answer without a promise cost no promise here either: most do, and this runs for every command.
 */
import {
  type Answer,
  type Awaitable,
  type Clock,
  type Decision,
  type Edit,
  MailwrightError,
  type PolicySession,
  type Refusal,
  toRefusal,
  type Verdict,
} from '@mailwright/core'

/** What a stage came to. */
export interface Ruling {
  readonly verdict: Verdict
  /** The policy that decided; empty when none did. */
  readonly policy: string
  readonly reason?: string | undefined
  readonly edits: readonly Edit[]
  /** Somebody spoke for going on: a vote to accept, or to discard. Holding alone is not one. */
  readonly accepted: boolean
}

/** A policy as opened for this connection. */
export interface OpenPolicy {
  readonly name: string
  readonly session: PolicySession
}

/** Asks one policy; undefined when it takes no part in the stage. */
export type Question = (session: PolicySession) => Answer

const NO_EDITS: readonly Edit[] = []
/** No policy said anything. */
export const SILENCE: Ruling = { verdict: { kind: 'next' }, policy: '', edits: NO_EDITS, accepted: false }
/** How strong each verdict is: the stronger wins, and among equals the first declared. */
const WEIGHT: Readonly<Record<Verdict['kind'], number>> = {
  next: 0,
  accept: 1,
  hold: 2,
  discard: 3,
  reject: 4,
  close: 5,
}

/** Asks every policy and answers with the ruling. `patienceMs` is how long one policy may take. */
export function askAll(
  policies: readonly OpenPolicy[],
  question: Question,
  clock: Clock,
  patienceMs: number,
): Awaitable<Ruling> {
  let ruling = SILENCE
  for (let index = 0; index < policies.length; index++) {
    const policy = policies[index]!
    try {
      const answer = question(policy.session)
      if (answer instanceof Promise) return askRest(policies, index, answer, ruling, question, clock, patienceMs)
      ruling = weigh(ruling, policy, answer)
    } catch (error) {
      return weigh(ruling, policy, failure(error))
    }
    if (refuses(ruling)) return ruling
  }
  return ruling
}

async function askRest(
  policies: readonly OpenPolicy[],
  from: number,
  pending: Promise<Decision | undefined | void>,
  sofar: Ruling,
  question: Question,
  clock: Clock,
  patienceMs: number,
): Promise<Ruling> {
  let ruling = sofar
  for (let index = from; index < policies.length; index++) {
    const policy = policies[index]!
    try {
      const answer = index === from ? pending : question(policy.session)
      ruling = weigh(ruling, policy, await (answer instanceof Promise ? inTime(answer, clock, patienceMs) : answer))
    } catch (error) {
      ruling = weigh(ruling, policy, failure(error))
    }
    if (refuses(ruling)) return ruling
  }
  return ruling
}

function weigh(sofar: Ruling, policy: OpenPolicy, decision: Decision | undefined | void): Ruling {
  if (!decision) return sofar
  const { verdict } = decision
  const weight = WEIGHT[verdict.kind]
  // A verdict nobody knows must not count as silence, which lets a message pass.
  if (weight === undefined) throw new MailwrightError('ERR_MAILWRIGHT_UNEXPECTED', 'not a verdict')
  const edits = decision.edits ? [...sofar.edits, ...decision.edits] : sofar.edits
  const accepted = sofar.accepted || verdict.kind === 'accept' || verdict.kind === 'discard'
  if (weight > WEIGHT[sofar.verdict.kind]) {
    return { verdict, policy: policy.name, reason: decision.reason, edits, accepted }
  }
  return edits === sofar.edits && accepted === sofar.accepted ? sofar : { ...sofar, edits, accepted }
}

/**
 * What an earlier stage and a later one leave for the message together: the edits of both, and the stronger vote to
 * discard or hold it; the earlier one wins a tie. Votes to accept and refusals belong to their stage and end with it.
 */
export function together(earlier: Ruling, later: Ruling): Ruling {
  const stronger = mark(later) > mark(earlier) ? later : earlier
  if (later.edits.length === 0) return stronger === earlier ? earlier : { ...later, edits: earlier.edits }
  return { ...stronger, edits: earlier.edits.length === 0 ? later.edits : [...earlier.edits, ...later.edits] }
}

/** How strongly a ruling marks the message for something else than delivery. */
function mark({ verdict }: Ruling): number {
  return verdict.kind === 'discard' ? 2 : verdict.kind === 'hold' ? 1 : 0
}

function failure(error: unknown): Decision {
  return { verdict: { kind: 'reject', reply: toRefusal(error) }, reason: `failed: ${problem(error)}` }
}

function problem(error: unknown): string {
  return error instanceof Error ? error.message : typeof error === 'string' ? error : 'no error was given'
}

function refuses(ruling: Ruling): boolean {
  return ruling.verdict.kind === 'reject' || ruling.verdict.kind === 'close'
}

/** The refusal of a ruling, or undefined when it refuses nothing. */
export function refusalOf(ruling: Ruling): Refusal | undefined {
  return ruling.verdict.kind === 'reject' || ruling.verdict.kind === 'close' ? ruling.verdict.reply : undefined
}

/** The promise's value, or a rejection once the patience is over; the promise's own late failure is then nobody's. */
export function inTime<T>(promise: Promise<T>, clock: Clock, patienceMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(patienceMs, () => reject(new MailwrightError('ERR_MAILWRIGHT_TIMEOUT', 'took too long')))
    promise.then(
      (value) => {
        timer.cancel()
        resolve(value)
      },
      (error: unknown) => {
        timer.cancel()
        reject(error)
      },
    )
  })
}
