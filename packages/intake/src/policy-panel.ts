/**
 * The policies of one connection, opened and asked together. A policy that cannot even open refuses everything: failure
 * is never a pass. What goes wrong while a policy is only told something is a `failure` event and no more.
 */
import type { Awaitable, Environment, Events, Policy, PolicySession, Session } from '@mailwright/core'
import { askAll, type OpenPolicy, type Question, type Ruling } from './stage.ts'

export interface PolicyPanel {
  /** Asks all policies and turns their ruling into an answer, with a promise only if one of them needed one. */
  ask<T>(question: Question, conclude: (ruling: Ruling) => T): Awaitable<T>
  /** Tells all policies, in declared order. Never throws. */
  tell(news: (policy: PolicySession) => void): void
}

/** Opens the policies for a session. `patienceMs` is how long one of them may take over one answer. */
export function policyPanel(
  policies: readonly Policy[],
  session: Session,
  environment: Environment,
  events: Events,
  patienceMs: number,
): PolicyPanel {
  const opened = policies.map((policy) => open(policy, session, environment))
  return {
    ask<T>(question: Question, conclude: (ruling: Ruling) => T): Awaitable<T> {
      const ruling = askAll(opened, question, environment.clock, patienceMs)
      return ruling instanceof Promise ? ruling.then(conclude) : conclude(ruling)
    },
    tell(news: (policy: PolicySession) => void): void {
      for (const policy of opened) {
        try {
          news(policy.session)
        } catch (error) {
          events.emit({ type: 'failure', where: `policy ${policy.name}`, error })
        }
      }
    },
  }
}

function open(policy: Policy, session: Session, environment: Environment): OpenPolicy {
  try {
    return { name: policy.name, session: policy.open(session, environment) }
  } catch (error) {
    const fail = (): never => {
      throw error
    }
    return { name: policy.name, session: { connect: fail, rcpt: fail } }
  }
}
