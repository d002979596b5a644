/**
 * What the queue does when it is asked to take a message: route every recipient, group them into entries, and store the
 * whole in one durable step. A lane with a free slot is claimed in the same step, so that mail which can go at once is
 * not read back from the store.
 *
 * A recipient that cannot be routed because a table failed makes the whole message temporary. One that is refused goes
 * to the `error` lane while others can be served, so that its bounce is as durable as their delivery.
 */
import {
  type Call,
  type Claim,
  type DeliveryJob,
  type Envelope,
  type Environment,
  type Events,
  type MailOptions,
  type MessageSource,
  type NewEntry,
  type NewMessage,
  type Outcome,
  type QueueStore,
  type RecipientId,
  type Router,
  reply,
  replyLine,
  toOutcome,
} from '@mailwright/core'
import { errorLaneOutcome } from './error-lane.ts'
import { entriesOf, type Routed, routeAll } from './routing.ts'
import { inStreams, type StreamRules } from './streams.ts'
import { PRIORITY_STEP_MS } from './turns.ts'
import { isVerp, type VerpOptions } from './verp-sender.ts'

export interface AcceptanceParts {
  readonly store: QueueStore
  readonly router: Router
  readonly environment: Environment
  readonly events: Events
  /** Most recipients of one attempt in a lane. */
  readonly recipientLimit: (lane: string) => number
  readonly streams: StreamRules
  readonly leaseMs: number
  readonly verp?: VerpOptions | undefined
  /** Asks for a slot; a lane that gets one is claimed with the put. */
  readonly reserve: (lane: string) => boolean
  /** What became of the reserved slots, and of the lanes that got none. */
  readonly placed: (placement: Placement) => void
}

export interface Placement {
  readonly reserved: ReadonlySet<string>
  readonly claims: readonly Claim[]
  /** Lanes with stored, unclaimed, due entries. */
  readonly waiting: readonly string[]
  /** When the stored entries are due, for mail that is to be released later (RFC 4865). */
  readonly dueAt?: number
}

const NO_LANES: ReadonlySet<string> = new Set()
const NO_NAMES: readonly string[] = []
/** Most lanes in which one message is claimed with its put. */
const MOST_RESERVED = 20

/** Takes a message into the queue. Every recipient is `queued`, or all are refused or deferred. */
export async function acceptMessage(
  parts: AcceptanceParts,
  job: DeliveryJob,
  call: Call,
): Promise<ReadonlyMap<RecipientId, Outcome>> {
  const { envelope } = job
  let routed: readonly Routed[]
  try {
    routed = await routeAll(parts.router, envelope.sender, envelope.recipients, call)
  } catch (error) {
    return notTaken(parts, `routing of ${job.id}`, envelope, error, call)
  }
  if (routed.every((each) => each.refusal !== undefined)) return refuseAll(envelope, routed)
  const recipientLimit = isVerp(parts.verp, envelope) ? 1 : parts.recipientLimit
  const entries = entriesOf(routed, recipientLimit, dueAt(envelope.options, parts.environment.clock.now()), job.hold)
  const message: NewMessage = {
    id: job.id,
    sender: envelope.sender,
    options: envelope.options,
    arrivedAt: job.arrivedAt,
    entries: inStreams(entries, job.id, envelope.options, parts.streams),
  }
  try {
    await storeMessage(parts, message, job.message, call)
  } catch (error) {
    return notTaken(parts, `storing of ${job.id}`, envelope, error, call)
  }
  return everyone(envelope, { status: 'ok', action: 'queued', reply: reply(250, '2.0.0', `Ok: queued as ${job.id}`) })
}

/**
 * What is to be released later is due then. Other mail is due at once, and with a priority (MT-PRIORITY, RFC 6710) has been
 * for some time: it stands before what came a minute earlier for each step, and behind what is older than that.
 */
function dueAt({ notBefore = 0, priority = 0 }: MailOptions, now: number): number {
  if (notBefore > now) return notBefore
  return priority > 0 ? now - priority * PRIORITY_STEP_MS : now
}

async function storeMessage(
  parts: AcceptanceParts,
  message: NewMessage,
  source: MessageSource,
  call: Call,
): Promise<void> {
  const held = message.entries[0]?.held
  const { notBefore } = message.options
  const later = notBefore !== undefined && notBefore > parts.environment.clock.now()
  const reserved = held === undefined && !later ? reserveLanes(parts, message.entries) : NO_LANES
  let claims: readonly Claim[] = []
  try {
    const now = parts.environment.clock.now()
    const claim = reserved.size > 0 ? { lanes: reserved, now, leaseMs: parts.leaseMs } : undefined
    claims = await parts.store.put(message, source, claim, call)
    if (parts.events.wants('message.queued')) {
      parts.events.emit({
        type: 'message.queued',
        message: message.id,
        sender: message.sender,
        size: source.size,
        recipients: message.entries.reduce((count, each) => count + each.recipients.length, 0),
        lanes: message.entries.map((each) => each.lane),
        held,
      })
    }
  } finally {
    const waiting = held === undefined && !later ? lanesWithout(message.entries, reserved) : NO_NAMES
    parts.placed({ reserved, claims, waiting, ...(later ? { dueAt: notBefore } : {}) })
  }
}

/**
 * A slot for each lane that has exactly one entry here; several entries would need several slots. Not for very many: a
 * message takes no room that others need more.
 */
function reserveLanes(parts: AcceptanceParts, entries: readonly NewEntry[]): ReadonlySet<string> {
  if (entries.length === 1) return parts.reserve(entries[0]!.lane) ? new Set([entries[0]!.lane]) : NO_LANES
  const count = new Map<string, number>()
  for (const each of entries) count.set(each.lane, (count.get(each.lane) ?? 0) + 1)
  const reserved = new Set<string>()
  for (const [lane, times] of count) {
    if (reserved.size >= MOST_RESERVED) break
    if (times === 1 && parts.reserve(lane)) reserved.add(lane)
  }
  return reserved
}

/** Lanes that got no slot, each once. */
function lanesWithout(entries: readonly NewEntry[], reserved: ReadonlySet<string>): readonly string[] {
  if (entries.length === reserved.size) return NO_NAMES
  return [...new Set(entries.map((each) => each.lane).filter((lane) => !reserved.has(lane)))]
}

/** Nothing was stored: everybody is deferred. A client that gave up waiting is no failure of ours. */
function notTaken(
  parts: AcceptanceParts,
  where: string,
  envelope: Envelope,
  error: unknown,
  call: Call,
): ReadonlyMap<RecipientId, Outcome> {
  if (!call.signal.aborted) parts.events.emit({ type: 'failure', where, error })
  return everyone(envelope, toOutcome(error))
}

function everyone(envelope: Envelope, outcome: Outcome): ReadonlyMap<RecipientId, Outcome> {
  return new Map(envelope.recipients.map((recipient) => [recipient.id, outcome]))
}

/** Nobody can be served: the client is told, and nothing is stored. */
function refuseAll(envelope: Envelope, routed: readonly Routed[]): ReadonlyMap<RecipientId, Outcome> {
  const temporary = routed.find((each) => each.refusal!.code < 500)
  const refusal = (temporary ?? routed[0])?.refusal
  return refusal === undefined ? new Map() : everyone(envelope, errorLaneOutcome(replyLine(refusal)))
}
