/**
 * THE interface. Everything that takes responsibility for mail is a Transport: the queue, a routed set, the SMTP client,
 * Maildir, every test double. So they nest, and composition of transports is the architecture.
 */
import type { Call } from './call.ts'
import type { Envelope, MessageId, RecipientId } from './envelope.ts'
import type { MessageSource, Spool } from './message.ts'
import type { Outcome } from './outcome.ts'
import type { Reply, TransientCode } from './reply.ts'
import type { Lane } from './router.ts'

/** One message on its way to some of its recipients. */
export interface DeliveryJob {
  readonly id: MessageId
  readonly envelope: Envelope
  readonly message: MessageSource
  /** When the message was first accepted, ms since the epoch. */
  readonly arrivedAt: number
  /** Where the queue sends it; absent when the job comes straight from an intake. */
  readonly lane?: Lane
  /** 1 for the first attempt. */
  readonly attempt: number
  /** Set when a policy asked to keep the message until an operator releases it: the reason. */
  readonly hold?: string
}

/**
 * What a sender may ask of a message beyond plain delivery. Who does not name a capability does not honour it, and
 * then no listener offers it.
 */
export type Capability =
  | 'binarymime'
  | 'deliverby'
  | 'dsn'
  | 'etrn'
  | 'futurerelease'
  | 'mt-priority'
  | 'requiretls'
  | 'smtputf8'

export interface Transport {
  /** Names the transport in lanes, events and logs. */
  readonly name: string
  /** What it honours. Absent: nothing but 7-bit and 8-bit mail with ASCII addresses. */
  readonly capabilities?: ReadonlySet<Capability>
  /**
   * Tries to deliver, and answers with exactly one outcome per recipient of the job.
   * Rejects only when the signal aborts or on a bug; the caller then treats every recipient as deferred.
   * May be called again while an earlier call runs.
   */
  deliver(job: DeliveryJob, call: Call): Promise<ReadonlyMap<RecipientId, Outcome>>
  /** Cheap and synchronous: the refusal to give before DATA while nothing can be taken, or null. */
  refusing?(): Reply<TransientCode> | null
  /** Where a large body may be written once, in place, before `deliver` is called with it. */
  spool?(): Spool
}

/** Around-advice on delivery: route, limit, sign, trace, fall back. */
export type TransportWrapper = (inner: Transport) => Transport

/** The same outcome for every recipient of the envelope. */
export function sameOutcome(envelope: Envelope, outcome: Outcome): Map<RecipientId, Outcome> {
  const outcomes = new Map<RecipientId, Outcome>()
  for (const recipient of envelope.recipients) outcomes.set(recipient.id, outcome)
  return outcomes
}
