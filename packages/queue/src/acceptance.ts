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
  laneKey,
  type Mailbox,
  type MessageSource,
  mailboxKey,
  type NewEntry,
  type NewMessage,
  type Outcome,
  type PermanentCode,
  type QueueStore,
  type Recipient,
  type RecipientId,
  type Refusal,
  type Reply,
  type Router,
  type Routing,
  reply,
  replyLine,
  type TransientCode,
  toOutcome,
  wireText,
} from '@mailwright/core'

/** A recipient after routing: a lane, or the refusal of its router. */
export interface Routed {
  readonly recipient: Recipient
  readonly lane: string | undefined
  readonly refusal: Refusal | undefined
}

/** The transport name of recipients that were refused after others of the message were accepted. */
export const ERROR_TRANSPORT = 'error'
/** How many addresses one recipient may stand for, as Postfix's `virtual_alias_expansion_limit`. */
const EXPANSION_LIMIT = 1_000
/** The longest refusal that is kept in the name of an error lane: stores have limits for names. */
const KEPT_REFUSAL = 200
const TOO_MANY = reply(550, '5.4.6', 'Alias expands to too many addresses')
const ALIAS_LOOP = reply(550, '5.4.6', 'Alias loop')
const NOBODY = reply(550, '5.3.5', 'Alias stands for nobody')

/** An address still to be routed. */
interface Stop {
  readonly recipient: Recipient
  /** The aliases that led here. */
  readonly via: readonly string[]
  /** What the client's recipient may still expand to. */
  readonly budget: { left: number }
}

/**
 * Routes recipients, expanding aliases. Nobody gets a message twice, and nobody is left out without a word: an alias
 * that leads back to itself, to nobody, or to too many is refused. Rejects when a table fails.
 */
export async function routeAll(
  router: Router,
  sender: Mailbox | null,
  recipients: readonly Recipient[],
  call: Call,
): Promise<readonly Routed[]> {
  const single = recipients.length === 1 ? recipients[0]! : undefined
  let known: Routing | undefined
  if (single !== undefined) {
    const answer = router.route(single.address, sender, call)
    known = answer instanceof Promise ? await answer : answer
    if (known.kind === 'send') return [{ recipient: single, lane: laneKey(known.lane), refusal: undefined }]
  }
  const routed: Routed[] = []
  const seen = new Set<string>()
  let nextId = recipients.reduce((highest, each) => Math.max(highest, each.id), 0) + 1
  const stops: Stop[] = recipients.map((recipient) => ({ recipient, via: [], budget: { left: EXPANSION_LIMIT } }))
  // Expansion makes the list longer while we go through it.
  for (const { recipient, via, budget } of stops) {
    const key = mailboxKey(recipient.address)
    if (via.includes(key)) routed.push({ recipient, lane: undefined, refusal: ALIAS_LOOP })
    if (seen.has(key)) continue
    seen.add(key)
    const routing: Routing = known ?? (await router.route(recipient.address, sender, call))
    known = undefined
    if (routing.kind === 'send') routed.push({ recipient, lane: laneKey(routing.lane), refusal: undefined })
    else if (routing.kind === 'refuse') routed.push({ recipient, lane: undefined, refusal: routing.reply })
    else {
      budget.left -= routing.into.length
      if (routing.keep !== undefined) routed.push({ recipient, lane: laneKey(routing.keep), refusal: undefined })
      else if (routing.into.length === 0) routed.push({ recipient, lane: undefined, refusal: NOBODY })
      if (budget.left >= 0) {
        for (const address of routing.into)
          stops.push({ recipient: { ...recipient, id: nextId++, address }, via: [...via, key], budget })
      } else routed.push({ recipient: { ...recipient, id: nextId++ }, lane: undefined, refusal: TOO_MANY })
    }
  }
  return routed
}

/** Groups routed recipients into entries of at most `recipientLimit`. */
export function entriesOf(
  routed: readonly Routed[],
  recipientLimit: number,
  dueAt: number,
  held: string | undefined,
): readonly NewEntry[] {
  if (routed.length === 1) return [entry(laneOf(routed[0]!), [routed[0]!.recipient], dueAt, held)]
  const groups = new Map<string, Recipient[][]>()
  for (const each of routed) {
    const lane = laneOf(each)
    const batches = groups.get(lane)
    const last = batches?.at(-1)
    if (batches === undefined) groups.set(lane, [[each.recipient]])
    else if (last === undefined || last.length >= recipientLimit) batches.push([each.recipient])
    else last.push(each.recipient)
  }
  return [...groups].flatMap(([lane, batches]) => batches.map((recipients) => entry(lane, recipients, dueAt, held)))
}

function entry(lane: string, recipients: readonly Recipient[], dueAt: number, held: string | undefined): NewEntry {
  return held === undefined ? { lane, recipients, dueAt } : { lane, recipients, dueAt, held }
}

function laneOf(routed: Routed): string {
  return routed.lane ?? errorLane(routed.refusal!)
}

/** The lane whose mail fails with this refusal. */
function errorLane(refusal: Refusal): string {
  return `${ERROR_TRANSPORT}:${wireText(replyLine(refusal)).slice(0, KEPT_REFUSAL).toWellFormed()}`
}

/** The refusal kept in the destination of an error lane. */
export function errorLaneOutcome(destination: string): Outcome {
  const match = /^([45]\d\d) ([45]\.\d{1,3}\.\d{1,3}) (.*)$/s.exec(destination)
  if (match === null) return { status: 'failed', reply: reply(550, '5.3.5', 'Unreadable refusal') }
  const answer: Reply = { code: Number(match[1]) as PermanentCode, enhanced: match[2] as '5.0.0', text: match[3]! }
  return answer.code >= 500
    ? { status: 'failed', reply: answer as Reply<PermanentCode> }
    : { status: 'deferred', scope: 'recipient', reply: answer as unknown as Reply<TransientCode> }
}

export interface AcceptanceParts {
  readonly store: QueueStore
  readonly router: Router
  readonly environment: Environment
  readonly events: Events
  readonly recipientLimit: number
  readonly leaseMs: number
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
}

const NO_LANES: ReadonlySet<string> = new Set()

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
    parts.events.emit({ type: 'failure', where: `routing of ${job.id}`, error })
    return everyone(envelope, toOutcome(error))
  }
  if (routed.every((each) => each.refusal !== undefined)) return refuseAll(envelope, routed)
  const now = parts.environment.clock.now()
  const message: NewMessage = {
    id: job.id,
    sender: envelope.sender,
    options: envelope.options,
    arrivedAt: job.arrivedAt,
    entries: entriesOf(routed, parts.recipientLimit, now, job.hold),
  }
  try {
    await storeMessage(parts, message, job.message, call)
  } catch (error) {
    parts.events.emit({ type: 'failure', where: `storing of ${job.id}`, error })
    return everyone(envelope, toOutcome(error))
  }
  return everyone(envelope, { status: 'ok', action: 'queued', reply: reply(250, '2.0.0', `Ok: queued as ${job.id}`) })
}

async function storeMessage(
  parts: AcceptanceParts,
  message: NewMessage,
  source: MessageSource,
  call: Call,
): Promise<void> {
  const held = message.entries[0]?.held
  const reserved = held === undefined ? reserveLanes(parts, message.entries) : NO_LANES
  let claims: readonly Claim[] = []
  try {
    const now = parts.environment.clock.now()
    const claim = reserved.size > 0 ? { lanes: reserved, now, leaseMs: parts.leaseMs } : undefined
    claims = await parts.store.put(message, source, claim, call)
    if (parts.events.wanted) {
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
    const waiting =
      held === undefined ? message.entries.filter((each) => !reserved.has(each.lane)).map((each) => each.lane) : []
    parts.placed({ reserved, claims, waiting })
  }
}

/** A slot for each lane that has exactly one entry here; several entries would need several slots. */
function reserveLanes(parts: AcceptanceParts, entries: readonly NewEntry[]): ReadonlySet<string> {
  if (entries.length === 1) return parts.reserve(entries[0]!.lane) ? new Set([entries[0]!.lane]) : NO_LANES
  const count = new Map<string, number>()
  for (const each of entries) count.set(each.lane, (count.get(each.lane) ?? 0) + 1)
  return new Set([...count].filter(([lane, times]) => times === 1 && parts.reserve(lane)).map(([lane]) => lane))
}

function everyone(envelope: Envelope, outcome: Outcome): ReadonlyMap<RecipientId, Outcome> {
  return new Map(envelope.recipients.map((recipient) => [recipient.id, outcome]))
}

/** Nobody can be served: the client is told, and nothing is stored. */
function refuseAll(envelope: Envelope, routed: readonly Routed[]): ReadonlyMap<RecipientId, Outcome> {
  const temporary = routed.find((each) => each.refusal!.code < 500)
  const refusal = (temporary ?? routed[0]!).refusal!
  return everyone(envelope, errorLaneOutcome(replyLine(refusal)))
}
