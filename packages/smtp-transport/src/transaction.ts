/** One mail transaction on one connection: how far it has come, and who has been accepted (RFC 5321 §3.3). */
import type { Clock, Outcome, Recipient } from '@mailwright/core'
import type { Capabilities } from './capabilities.ts'
import { type EnvelopeCommands, envelopeCommands } from './envelope-commands.ts'
import type { Errand } from './errand.ts'
import type { Security } from './handshake.ts'

/** What the server is to answer next; `body` while a long message is being sent and no answer is due. */
export type Stage = 'reset' | 'mail' | 'rcpt' | 'data' | 'body' | 'end' | 'empty-end'

/** What we were doing, for the outcome of a dialogue that ended there. */
export const DOING: Readonly<Record<Stage, string>> = {
  reset: 'while sending RSET',
  mail: 'while sending MAIL FROM',
  rcpt: 'while sending RCPT TO',
  data: 'while sending DATA',
  body: 'while sending the message',
  end: 'after end of data: the message may be delivered twice',
  'empty-end': 'while ending an empty transaction',
}

export interface Transaction {
  readonly errand: Errand
  readonly commands: EnvelopeCommands
  stage: Stage
  /** Whether the server has answered anything of this transaction. */
  answered: 'no' | 'yes'
  mailRefused: 'no' | 'yes'
  /** How many RCPTs are answered. */
  rcptAnswers: number
  readonly accepted: Recipient[]
  /** How many of those accepted are answered after the final dot: in LMTP, one by one. */
  endAnswers: number
  /** Those whom the server put off before it had the message: another one may take them. */
  postponed: Recipient[] | undefined
  /** When the final dot was sent, ms since the epoch. */
  endedAt: number
}

/** The transaction for an errand, or undefined when nothing of it can be sent here: the errand is settled then. */
export function transactionFor(
  errand: Errand,
  offered: Capabilities,
  security: Security,
  clock: Clock,
): Transaction | undefined {
  const commands = envelopeCommands(errand, offered, security, clock)
  if (!isCommands(commands)) {
    errand.settle(commands)
    return undefined
  }
  if (commands.recipients.length === 0) {
    errand.settle()
    return undefined
  }
  return {
    errand,
    commands,
    stage: 'mail',
    answered: 'no',
    mailRefused: 'no',
    rcptAnswers: 0,
    accepted: [],
    endAnswers: 0,
    postponed: undefined,
    endedAt: 0,
  }
}

/** Gives those whom the server accepted their outcome. */
export function recordAccepted(transaction: Transaction, outcome: Outcome): void {
  for (const recipient of transaction.accepted) transaction.errand.record(recipient, outcome)
}

/** Gives a recipient the outcome that the server has said before it had the message. */
export function recordEarly(transaction: Transaction, recipient: Recipient, outcome: Outcome): void {
  transaction.errand.record(recipient, outcome)
  if (outcome.status !== 'deferred') return
  transaction.postponed ??= []
  transaction.postponed.push(recipient)
}

/** MAIL, all RCPTs and DATA, for one write (RFC 2920). BDAT brings the message with it, and waits for the answers. */
export function pipelined({ mail, rcpts, transfer }: EnvelopeCommands): string {
  return `${mail}${rcpts.length === 1 ? rcpts[0] : rcpts.join('')}${transfer === 'data' ? 'DATA\r\n' : ''}`
}

function isCommands(result: EnvelopeCommands | Outcome): result is EnvelopeCommands {
  return 'mail' in result
}
