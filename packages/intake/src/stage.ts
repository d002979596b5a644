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
}

/** A policy as opened for this connection. */
export interface OpenPolicy {
  readonly name: string
  readonly session: PolicySession
}

/** Asks one policy; undefined when it takes no part in the stage. */
export type Question = (session: PolicySession) => Answer

const NO_EDITS: readonly Edit[] = []
const SILENCE: Ruling = { verdict: { kind: 'next' }, policy: '', edits: NO_EDITS }
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
    let answer: Answer
    try {
      answer = question(policy.session)
    } catch (error) {
      return weigh(ruling, policy, failure(error))
    }
    if (answer instanceof Promise) return askRest(policies, index, answer, ruling, question, clock, patienceMs)
    ruling = weigh(ruling, policy, answer)
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
  const edits = decision.edits ? [...sofar.edits, ...decision.edits] : sofar.edits
  if (WEIGHT[decision.verdict.kind] > WEIGHT[sofar.verdict.kind]) {
    return { verdict: decision.verdict, policy: policy.name, reason: decision.reason, edits }
  }
  return edits === sofar.edits ? sofar : { ...sofar, edits }
}

function failure(error: unknown): Decision {
  return { verdict: { kind: 'reject', reply: toRefusal(error) }, reason: `failed: ${String(error)}` }
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
