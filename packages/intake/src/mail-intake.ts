import {
  type Awaitable,
  type Block,
  type Capability,
  type ClientConnection,
  type Dialogue,
  type Duration,
  type Intake,
  idMaker,
  milliseconds,
  type Policy,
  type Reply,
  type Scope,
  type Session,
  type Transport,
} from '@mailwright/core'
import { MailDialogue } from './dialogue.ts'

export interface MailIntakeOptions {
  /** The name we go by: in the greeting, in HELO answers, in Received. */
  readonly hostname: string
  /** Takes responsibility for what is accepted: a queue, usually. */
  readonly transport: Transport
  /** Asked in this order. Without a policy that accepts recipients, everything is refused at RCPT. */
  readonly policies: readonly Policy[]
  /** Largest message in bytes. Default 50 MB (52,428,800). */
  readonly maxSize?: number
  /** Largest header block in bytes. Default 102,400. */
  readonly maxHeadSize?: number
  /** Messages up to this many bytes stay in memory until handed off. Default 131,072; at least `maxHeadSize`. */
  readonly inlineLimit?: number
  /** Most recipients of one message; the rest get `452 4.5.3`. Default 1000. */
  readonly maxRecipients?: number
  /** A bare CR, bare LF or NUL in a message: refuse it with `550 5.5.2` (default), or make it a clean CRLF. */
  readonly lineEnds?: 'reject' | 'normalize'
  /** Lets users of a `submission` listener in without TLS: for tests and trusted wires only. Default: TLS first. */
  readonly submissionWithoutTls?: boolean
  /** Answers ETRN (RFC 1985), for a transport that can start the delivery of waiting mail. Default: it is not offered. */
  readonly etrn?: (domain: string, session: Session) => Awaitable<Reply>
  /** When refusals at connect, helo and mail are answered: `at-rcpt` (default) lets the log show whom the mail was for. */
  readonly refuse?: 'at-rcpt' | 'at-once'
  /** How long one policy may take at one stage before it counts as failed. Default 30 s. */
  readonly stageTimeout?: Duration
  /** How long the transport may take to accept responsibility. Default 5 min. */
  readonly handOffTimeout?: Duration
}

/** The options with their defaults filled in, and what all dialogues share. */
export interface IntakeSettings {
  readonly hostname: string
  readonly transport: Transport
  readonly policies: readonly Policy[]
  readonly maxSize: number
  readonly maxHeadSize: number
  readonly inlineLimit: number
  readonly maxRecipients: number
  readonly lineEnds: 'reject' | 'normalize'
  readonly submission: 'tls' | 'no tls'
  readonly etrn: MailIntakeOptions['etrn']
  readonly refuse: 'at-rcpt' | 'at-once'
  readonly stageTimeoutMs: number
  readonly handOffTimeoutMs: number
  readonly nextId: () => string
}

/**
 * The dialogue behind one or more listeners: stages, policies, and the hand-off to a transport.
 *
 * @example
 * const intake = mta.use(mailIntake({ hostname: 'mx.example.org', transport: queue, policies: [permitLoopback()] }))
 * mta.use(smtpListener({ intake, port: 25 }))
 */
export function mailIntake(options: MailIntakeOptions): Block<Intake> {
  return {
    name: 'intake',
    create(scope: Scope): Intake {
      const { clock, random } = scope.environment
      const ids = idMaker(clock, random)
      const settings: IntakeSettings = {
        hostname: options.hostname,
        transport: options.transport,
        policies: options.policies,
        maxSize: options.maxSize ?? 52_428_800,
        maxHeadSize: options.maxHeadSize ?? 102_400,
        inlineLimit: options.inlineLimit ?? 131_072,
        maxRecipients: options.maxRecipients ?? 1_000,
        lineEnds: options.lineEnds ?? 'reject',
        submission: options.submissionWithoutTls === true ? 'no tls' : 'tls',
        etrn: options.etrn,
        refuse: options.refuse ?? 'at-rcpt',
        stageTimeoutMs: milliseconds(options.stageTimeout ?? '30s'),
        handOffTimeoutMs: milliseconds(options.handOffTimeout ?? '5m'),
        nextId: () => ids.next(),
      }
      return {
        hostname: settings.hostname,
        maxSize: settings.maxSize,
        maxRecipients: settings.maxRecipients,
        capabilities: capabilitiesOf(settings),
        open: (connection: ClientConnection): Dialogue =>
          new MailDialogue(settings, scope.environment, scope.events, connection, ids.next()),
      }
    },
  }
}

/** ETRN is the intake's to offer; everything else is honoured by the transport or not at all. */
function capabilitiesOf({ transport, etrn }: IntakeSettings): ReadonlySet<Capability> {
  const honoured = new Set(transport.capabilities)
  if (etrn === undefined) honoured.delete('etrn')
  else honoured.add('etrn')
  return honoured
}
