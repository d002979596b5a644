/**
 * Policies read the dialogue and answer. They never mutate: edits are data, applied once, in declared order.
 * Among verdicts `close > reject > discard > hold > accept > next`; among equals the first DECLARED policy wins,
 * never the first in time. A policy that throws or times out is a temporary refusal, never a pass.
 */
import type { Awaitable, Call } from './call.ts'
import type { MailOptions, Recipient } from './envelope.ts'
import type { Environment } from './environment.ts'
import type { Mailbox } from './mailbox.ts'
import type { MessageSource } from './message.ts'
import type { Refusal } from './reply.ts'
import type { Session } from './session.ts'

export interface Policy {
  readonly name: string
  /** Called once per connection; what it returns is this policy's state for the connection. */
  open(session: Session, environment: Environment): PolicySession
}

/** The stages a policy takes part in. Silence (nothing returned) means "no opinion". */
export interface PolicySession {
  connect?(call: Call): Answer
  helo?(name: string, call: Call): Answer
  mail?(transaction: Transaction, call: Call): Answer
  /** Somebody must accept each recipient: silence of all policies refuses it. */
  rcpt?(recipient: Recipient, transaction: Transaction, call: Call): Answer
  data?(transaction: Transaction, call: Call): Answer
  message?(message: MessageSource, transaction: Transaction, call: Call): Answer
  /** The transaction ended, one way or another. */
  reset?(): void
  close?(): void
}

/** A mail transaction as far as it has come. */
export interface Transaction {
  readonly sender: Mailbox | null
  readonly options: MailOptions
  readonly declaredSize?: number | undefined
  /** Accepted so far. */
  readonly recipients: readonly Recipient[]
}

export type Answer = Awaitable<Decision | undefined | void>

export interface Decision {
  readonly verdict: Verdict
  readonly edits?: readonly Edit[]
  /** Why, for events and `explain`; never on the wire. */
  readonly reason?: string
}

export type Verdict =
  | { readonly kind: 'next' }
  /** A vote for this recipient or stage; a refusal by any policy still wins. */
  | { readonly kind: 'accept' }
  | { readonly kind: 'reject'; readonly reply: Refusal }
  /** Refuse and end the connection. */
  | { readonly kind: 'close'; readonly reply: Refusal }
  /** Answer 250 and throw the message away. */
  | { readonly kind: 'discard' }
  /** Take the message, but keep it until an operator releases it. */
  | { readonly kind: 'hold' }

/** A change to the message, as data. Values are checked when applied: no line break can enter a header. */
export type Edit =
  | { readonly edit: 'prepend-header'; readonly name: string; readonly value: string }
  | { readonly edit: 'append-header'; readonly name: string; readonly value: string }
  | { readonly edit: 'remove-header'; readonly name: string }
  | { readonly edit: 'add-recipient'; readonly address: Mailbox }
  /** What the host knows the message by; see `MailOptions.labels`. */
  | { readonly edit: 'label'; readonly label: string; readonly value: string }

/** No opinion. */
export function next(reason?: string): Decision {
  return decision({ kind: 'next' }, reason)
}
/** A vote to accept. */
export function accept(reason?: string): Decision {
  return decision({ kind: 'accept' }, reason)
}
/** Refuse with this reply. @example reject(reply(550, '5.1.1', 'no such mailbox')) */
export function reject(refusal: Refusal, reason?: string): Decision {
  return decision({ kind: 'reject', reply: refusal }, reason)
}
/** Refuse with this reply and end the connection. */
export function close(refusal: Refusal, reason?: string): Decision {
  return decision({ kind: 'close', reply: refusal }, reason)
}
/** Pretend to accept, and throw the message away. */
export function discard(reason?: string): Decision {
  return decision({ kind: 'discard' }, reason)
}
/** Accept, but keep until released. */
export function hold(reason?: string): Decision {
  return decision({ kind: 'hold' }, reason)
}

function decision(verdict: Verdict, reason: string | undefined): Decision {
  return reason === undefined ? { verdict } : { verdict, reason }
}

/**
 * A policy without state of its own from its stages.
 *
 * @example
 * policy('no-self', { helo: (name) => (name === 'me' ? reject(reply(550, '5.7.1', 'that is my name')) : undefined) })
 */
export function policy(name: string, stages: PolicySession | ((session: Session) => PolicySession)): Policy {
  return { name, open: typeof stages === 'function' ? stages : () => stages }
}
