/**
 * What is done with an entry instead of trying it: what an operator wants (`requeue`, `reroute`, `expire`), and for
 * recipients whom the router refused for now, asking it again.
 *
 * Everything here ends in one settlement, so that a crash leaves the mail either where it was, instruction and all, or
 * where it was to go. A router that fails leaves it deferred, to be asked again. Nothing is delivered here.
 */
import {
  type Awaitable,
  type Call,
  type Claim,
  type Environment,
  type Events,
  type Outcome,
  parseLaneKey,
  type Recipient,
  type RecipientId,
  type Router,
  type Routing,
  reply,
  replyLine,
  type Settlement,
  throwIfAborted,
} from '@mailwright/core'
import { ERROR_TRANSPORT, EXPANDED, errorLaneOutcome } from './error-lane.ts'
import { entriesOf, type Routed, routeAll } from './routing.ts'
import type { RetryRules } from './settlement.ts'
import { inStreamOf } from './streams.ts'

export interface InstructedParts {
  readonly router: Router
  readonly environment: Environment
  readonly events: Events
  readonly retry: RetryRules
  /** Most recipients of one attempt in a lane. */
  readonly recipientLimit: number | ((lane: string) => number)
}

/** What came of it: a settlement to make, or what each recipient is told as if it had been tried. */
export type Instead = { readonly settlement: Settlement } | { readonly outcomes: ReadonlyMap<RecipientId, Outcome> }

/** How the lanes of such refusals begin. */
const REFUSED_FOR_NOW = `${ERROR_TRANSPORT}:4`
const NOTHING_SAID: ReadonlyMap<RecipientId, Outcome> = new Map()

/** Whether there is something else to do than trying it. */
export function isInstructed({ entry }: Claim): boolean {
  // A refusal for now was true when it was written; by its second turn it is time to ask again.
  return entry.instruction !== undefined || (entry.attempts > 0 && entry.lane.startsWith(REFUSED_FOR_NOW))
}

/** Does it, all but the settling. Rejects only when the call is aborted. */
export function carryOut(parts: InstructedParts, claim: Claim, call: Call): Promise<Instead> | Instead {
  const { instruction } = claim.entry
  if (instruction === undefined) return askAgain(parts, claim, call)
  if (instruction.kind === 'expire') return { outcomes: expired(claim) }
  if (instruction.kind === 'requeue') return requeue(parts, claim, call)
  const { lane } = instruction
  const routed = claim.entry.recipients.map((recipient) => ({ recipient, lane, refusal: undefined }))
  return { settlement: moving(parts, claim, routed) }
}

/** RFC 3463 X.4.7, with the last answer: it is why somebody lost patience. */
function expired({ entry }: Claim): ReadonlyMap<RecipientId, Outcome> {
  return new Map(
    entry.recipients.map(({ id, lastReply }) => {
      const last = lastReply === undefined ? '' : `; last: ${lastReply}`
      return [id, { status: 'failed', reply: reply(550, '5.4.7', `Expired by the operator${last}`) }]
    }),
  )
}

/** Everybody goes where the router sends them now; those it refuses fail from the error lane. */
async function requeue(parts: InstructedParts, claim: Claim, call: Call): Promise<Instead> {
  const routed = await routeAgain(parts, onlyThemselves(parts.router), claim, call)
  if (routed !== undefined) return { settlement: moving(parts, claim, routed) }
  const { clock, random } = parts.environment
  const now = clock.now()
  const { arrivedAt, attempts } = claim.entry
  const retryAt = now + parts.retry.schedule({ now, arrivedAt, attempt: attempts + 1, random })
  return { settlement: { outcomes: NOTHING_SAID, retryAt, counted: false } }
}

/** Those whom the router refuses for now again stay, and hear its new answer; the others go where it sends them. */
async function askAgain(parts: InstructedParts, claim: Claim, call: Call): Promise<Instead> {
  const { lane, recipients } = claim.entry
  const routed = await routeAgain(parts, parts.router, claim, call)
  if (routed === undefined) return { outcomes: everyone(recipients, errorLaneOutcome(parseLaneKey(lane).destination)) }
  const answers = new Map<RecipientId, Outcome>()
  for (const { recipient, refusal } of routed)
    if (refusal !== undefined && refusal.code < 500) answers.set(recipient.id, errorLaneOutcome(replyLine(refusal)))
  if (answers.size === routed.length) return { outcomes: answers }
  // Those who stay are asked about once more, by themselves.
  return {
    settlement: moving(
      parts,
      claim,
      routed.map((each) => (answers.has(each.recipient.id) ? { ...each, lane } : each)),
    ),
  }
}

/** Undefined when a table failed. */
async function routeAgain(
  { events }: InstructedParts,
  router: Router,
  claim: Claim,
  call: Call,
): Promise<readonly Routed[] | undefined> {
  const { message, sender, recipients } = claim.entry
  try {
    return await routeAll(router, sender, recipients, call)
  } catch (error) {
    throwIfAborted(call)
    events.emit({ type: 'failure', where: `routing ${message} again`, error })
    return undefined
  }
}

/** Who stands for himself and others has had the others served, or waiting, since the message came. */
function onlyThemselves(router: Router): Router {
  const alone = (routing: Routing): Routing =>
    routing.kind === 'expand' && routing.keep !== undefined ? { kind: 'send', lane: routing.keep } : routing
  return {
    route(...asked): Awaitable<Routing> {
      const routing = router.route(...asked)
      return routing instanceof Promise ? routing.then(alone) : alone(routing)
    },
    destination: (...asked) => router.destination(...asked),
  }
}

/** All of them go on, now or when the sender wants it released; an alias is done when its members go on instead. */
function moving(parts: InstructedParts, claim: Claim, routed: readonly Routed[]): Settlement {
  const now = parts.environment.clock.now()
  const dueAt = Math.max(now, claim.options.notBefore ?? 0)
  const moved = inStreamOf(claim.entry.lane, entriesOf(routed, parts.recipientLimit, dueAt, undefined))
  const going = new Set(moved.flatMap((entry) => entry.recipients.map((each) => each.id)))
  const replaced = claim.entry.recipients.filter((each) => !going.has(each.id))
  return { outcomes: everyone(replaced, EXPANDED), retryAt: now, counted: false, moved }
}

function everyone(recipients: readonly Recipient[], outcome: Outcome): ReadonlyMap<RecipientId, Outcome> {
  return new Map(recipients.map(({ id }) => [id, outcome]))
}
