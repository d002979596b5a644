/** Limits as the host says them: which mail they are for, by what it is labelled and where it goes. */
import { type Claim, type Labels, type Lane, MailwrightError, parseLaneKey, type Rate } from '@mailwright/core'

/** A limit for each key there is. It counts attempts: an attempt is one message for up to `recipientLimit` recipients. */
export interface LimitRule {
  /** A label, each value of which is limited; or a function that answers with who is limited, `undefined`: nobody. */
  readonly by: string | ((labels: Labels, lane: Lane) => string | undefined)
  /** Most attempts at once. */
  readonly concurrency?: number
  /** Most attempts in a time, evenly: what is over goes later, and is no counted attempt. */
  readonly rate?: Rate
}

/** A rule, and the key under which it holds for some mail. */
export interface AppliedLimit {
  readonly key: string
  readonly concurrency: number | undefined
  readonly rate: Rate | undefined
}

export type LimitsOf = (claim: Claim) => readonly AppliedLimit[]

const NO_LIMITS: readonly AppliedLimit[] = []
const NO_LABELS: Labels = {}

/**
 * Reads the option. A rule whose function throws limits nothing, and `failed` is told.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for a limit that is none.
 */
export function limitsOf(rules: readonly LimitRule[], failed: (error: unknown) => void): LimitsOf {
  for (const rule of rules) assertRule(rule)
  return (claim) => {
    const labels = claim.options.labels ?? NO_LABELS
    let applied: AppliedLimit[] | undefined
    for (const [index, { by, concurrency, rate }] of rules.entries()) {
      const who = typeof by === 'string' ? labelOf(labels, by) : ask(by, labels, claim.entry.lane, failed)
      if (who === undefined) continue
      applied ??= []
      applied.push({ key: `${index}:${typeof by === 'string' ? `${by}=` : ''}${who}`, concurrency, rate })
    }
    return applied ?? NO_LIMITS
  }
}

function labelOf(labels: Labels, label: string): string | undefined {
  return Object.hasOwn(labels, label) ? labels[label] : undefined
}

function ask(
  by: Exclude<LimitRule['by'], string>,
  labels: Labels,
  lane: string,
  failed: (error: unknown) => void,
): string | undefined {
  try {
    return by(labels, parseLaneKey(lane))
  } catch (error) {
    failed(error)
    return undefined
  }
}

function assertRule({ by, concurrency, rate }: LimitRule): void {
  const name = typeof by === 'string' ? by : 'a function'
  const wrong = (problem: string): MailwrightError =>
    new MailwrightError('ERR_MAILWRIGHT_CONFIG', `limit by ${name}: ${problem}`)
  if (concurrency !== undefined && !(Number.isInteger(concurrency) && concurrency >= 1))
    throw wrong(`concurrency must be at least 1, not ${concurrency}`)
  if (rate === undefined) return
  const { count, perMs, burst = 1 } = rate
  const isRate = count > 0 && perMs > 0 && burst >= 1 && Number.isFinite(perMs / count) && Number.isFinite(burst)
  if (!isRate) throw wrong(`not a rate: ${count} in ${perMs} ms, ${burst} at once`)
}
