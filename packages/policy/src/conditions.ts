/** Policies around policies: only for some clients, or without the power to refuse by failing. */
import {
  type Answer,
  type Decision,
  type Duration,
  type Environment,
  MailwrightError,
  milliseconds,
  next,
  type Policy,
  type PolicySession,
  type Session,
  type Transaction,
} from '@mailwright/core'

/** Looks at a connection, and from MAIL on at the transaction. Must not wait. */
export type Condition = (session: Session, transaction: Transaction | undefined) => boolean

/**
 * The policy while the condition holds, no opinion while it does not. Asked anew at each stage.
 *
 * @example
 * when((session) => session.tls === undefined, rejectUnknownSenderDomain())
 */
export function when(condition: Condition, policy: Policy): Policy {
  return around(policy, (session, _stage, transaction, ask) => (condition(session, transaction) ? ask() : undefined))
}

/** The policy while the condition does not hold. @example unless((session) => session.user !== undefined, greylist()) */
export function unless(condition: Condition, policy: Policy): Policy {
  return when((session, transaction) => !condition(session, transaction), policy)
}

/**
 * A policy whose failure is no refusal: where it throws or takes longer than `timeout` (default 5 s), it has no opinion,
 * and the reason says so. What it answers in time counts as ever.
 *
 * @example
 * advisory(rejectUnknownSenderDomain(), { timeout: '2s' })
 */
export function advisory(policy: Policy, options: { readonly timeout?: Duration } = {}): Policy {
  const timeoutMs = milliseconds(options.timeout ?? '5s')
  const skipped = (stage: string, error: unknown): Decision =>
    next(`skipped at ${stage}: ${error instanceof Error ? error.message : String(error)}`)
  return around(policy, (_session, stage, _transaction, ask, environment) => {
    try {
      const answer = ask()
      if (!(answer instanceof Promise)) return answer
      return inTime(answer, timeoutMs, environment).catch((error: unknown) => skipped(stage, error))
    } catch (error) {
      return skipped(stage, error)
    }
  })
}

type Advice = (
  session: Session,
  stage: string,
  transaction: Transaction | undefined,
  ask: () => Answer,
  environment: Environment,
) => Answer

/** The policy with every answer of its stages passing through the advice. A stage it does not have stays absent. */
function around(policy: Policy, advice: Advice): Policy {
  return {
    name: policy.name,
    open(session: Session, environment: Environment): PolicySession {
      const inner = policy.open(session, environment)
      const outer: PolicySession = { reset: () => inner.reset?.(), close: () => inner.close?.() }
      const advised = (stage: string, transaction: Transaction | undefined, ask: () => Answer): Answer =>
        advice(session, stage, transaction, ask, environment)
      if (inner.connect !== undefined)
        outer.connect = (call) => advised('connect', undefined, () => inner.connect?.(call))
      if (inner.helo !== undefined)
        outer.helo = (name, call) => advised('helo', undefined, () => inner.helo?.(name, call))
      if (inner.mail !== undefined)
        outer.mail = (transaction, call) => advised('mail', transaction, () => inner.mail?.(transaction, call))
      if (inner.rcpt !== undefined)
        outer.rcpt = (recipient, transaction, call) =>
          advised('rcpt', transaction, () => inner.rcpt?.(recipient, transaction, call))
      if (inner.data !== undefined)
        outer.data = (transaction, call) => advised('data', transaction, () => inner.data?.(transaction, call))
      if (inner.message !== undefined)
        outer.message = (message, transaction, call) =>
          advised('message', transaction, () => inner.message?.(message, transaction, call))
      return outer
    },
  }
}

function inTime(
  answer: Promise<Decision | undefined | void>,
  timeoutMs: number,
  { clock }: Environment,
): Promise<Decision | undefined | void> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(timeoutMs, () => reject(new MailwrightError('ERR_MAILWRIGHT_TIMEOUT', 'took too long')))
    void answer.then(resolve, reject).finally(() => timer.cancel())
  })
}
