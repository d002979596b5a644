/** Asks policies as a dialogue would. */
import {
  type Call,
  type Decision,
  type Environment,
  type Policy,
  type PolicySession,
  replyLine,
  type Session,
  type Transaction,
} from '@mailwright/core'
import { mailbox, recipients, testEnvironment } from '@mailwright/testing'

export const call: Call = { signal: new AbortController().signal }

/** A session whose facts a test may change, as a dialogue does. */
export type ChangingSession = { -readonly [Field in keyof Session]: Session[Field] }

export function session(facts: Partial<Session> = {}): ChangingSession {
  return {
    id: 's1',
    protocol: 'smtp',
    profile: 'mx',
    client: { address: '203.0.113.9', port: 40_000 },
    server: { address: '192.0.2.25', port: 25 },
    openedAt: 0,
    extended: true,
    ...facts,
  }
}

export function transaction(sender: string | null = 'bob@example.net', accepted: readonly string[] = []): Transaction {
  return { sender: sender === null ? null : mailbox(sender), options: {}, recipients: recipients(...accepted) }
}

export function opened(
  policy: Policy,
  facts: Partial<Session> | ChangingSession = {},
  environment?: Environment,
): PolicySession {
  const given = 'id' in facts ? (facts as ChangingSession) : session(facts)
  return policy.open(given, environment ?? testEnvironment())
}

/** What the policy says at RCPT, in a word or a line. */
export async function atRcpt(
  asked: Policy | PolicySession,
  to = 'ann@example.org',
  given: Partial<Session> = {},
  sender: string | null = 'bob@example.net',
): Promise<string> {
  const one = 'open' in asked ? opened(asked, given) : asked
  return verdictOf(await one.rcpt?.(recipients(to)[0]!, transaction(sender), call))
}

export function verdictOf(decision: Decision | undefined | void): string {
  if (!decision) return 'silence'
  const { verdict } = decision
  return verdict.kind === 'reject' || verdict.kind === 'close'
    ? `${verdict.kind} ${replyLine(verdict.reply)}`
    : verdict.kind
}
