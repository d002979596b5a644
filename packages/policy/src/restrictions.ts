/**
 * An ordered list of policies as one, asked at RCPT (as Postfix's restriction lists with delayed reject). The first that
 * accepts or refuses ends the list; if none does, the list has no opinion, and a recipient nobody accepts is refused.
 * A hold does not end the list: it takes effect if the list goes on to accept.
 *
 * A policy of an earlier stage (connect, helo, mail) is asked at RCPT, in its place in the list: whoever was permitted
 * before is not bothered by it, and it costs nothing then. Its answer is kept for as long as the question is the same.
 * The stages after RCPT are not part of the list: every policy that has one is asked, up to the first refusal.
 */
import type {
  Answer,
  Call,
  Environment,
  Policy,
  PolicySession,
  Recipient,
  Session,
  Transaction,
} from '@mailwright/core'
import { firstOpinion } from './first-opinion.ts'
import { keptAnswer } from './kept-answer.ts'

/**
 * Makes a list of policies into one policy.
 *
 * @example
 * restrictions([permitNetworks(['10.0.0.0/8']), rejectNonFqdnHelo(), rejectUnauthorizedDestination(router)])
 */
export function restrictions(policies: readonly Policy[], name = 'restrictions'): Policy {
  return {
    name,
    open(session: Session, environment: Environment): PolicySession {
      const opened = policies.map((one) => one.open(session, environment))
      const forgetters: (() => void)[] = []
      const questions = opened.flatMap((one) => questionsOf(one, session, forgetters))
      const list: PolicySession = {
        rcpt: (recipient, transaction, call) =>
          firstOpinion(questions, (question) => question(recipient, transaction, call), 'needs acceptance'),
        reset(): void {
          for (const forget of forgetters) forget()
          for (const one of opened) one.reset?.()
        },
        close(): void {
          for (const one of opened) one.close?.()
        },
      }
      // A stage that nobody takes part in stays absent: DATA and the message are not slowed down by an empty list.
      if (opened.some((one) => one.data !== undefined))
        list.data = (transaction, call) => firstOpinion(opened, (one) => one.data?.(transaction, call), 'stands alone')
      if (opened.some((one) => one.message !== undefined))
        list.message = (message, transaction, call) =>
          firstOpinion(opened, (one) => one.message?.(message, transaction, call), 'stands alone')
      return list
    },
  }
}

type Question = (recipient: Recipient, transaction: Transaction, call: Call) => Answer

/** What one policy is asked at RCPT, in the order of its stages. */
function questionsOf(policy: PolicySession, session: Session, forgetters: (() => void)[]): Question[] {
  const questions: Question[] = []
  if (policy.connect !== undefined) {
    const kept = keptAnswer()
    questions.push((_recipient, _transaction, call) => kept.once('connect', () => policy.connect?.(call)))
  }
  if (policy.helo !== undefined) {
    const kept = keptAnswer()
    questions.push((_recipient, _transaction, call) => {
      const { helo } = session
      return helo === undefined ? undefined : kept.once(helo, () => policy.helo?.(helo, call))
    })
  }
  if (policy.mail !== undefined) {
    const kept = keptAnswer()
    forgetters.push(kept.forget)
    questions.push((_recipient, transaction, call) => kept.once('mail', () => policy.mail?.(transaction, call)))
  }
  if (policy.rcpt !== undefined)
    questions.push((recipient, transaction, call) => policy.rcpt?.(recipient, transaction, call))
  return questions
}
