/**
 * From recipients to lanes: aliases are expanded until every address has a lane or a refusal, and those who share a lane
 * share entries. A table that fails makes the whole message temporary; it never refuses anybody.
 */
import {
  type Call,
  laneKey,
  type Mailbox,
  mailboxKey,
  type NewEntry,
  type Recipient,
  type Refusal,
  type Router,
  type Routing,
  reply,
} from '@mailwright/core'
import { EXPANDED_LANE, errorLane } from './error-lane.ts'

/** A recipient after routing: a lane, or the refusal of its router. */
export interface Routed {
  readonly recipient: Recipient
  readonly lane: string | undefined
  readonly refusal: Refusal | undefined
}

/** How many addresses one recipient may stand for, as Postfix's `virtual_alias_expansion_limit`. */
const EXPANSION_LIMIT = 1_000
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
      const several = routing.into.length + (routing.keep === undefined ? 0 : 1) > 1
      const asked = several && budget.left >= 0 && recipient.notify?.includes('success') === true
      if (asked) routed.push({ recipient: { ...recipient, id: nextId++ }, lane: EXPANDED_LANE, refusal: undefined })
      const member = asked ? withoutSuccess(recipient) : recipient
      if (routing.keep !== undefined)
        routed.push({ recipient: member, lane: laneKey(routing.keep), refusal: undefined })
      else if (routing.into.length === 0) routed.push({ recipient, lane: undefined, refusal: NOBODY })
      if (budget.left >= 0) {
        for (const address of routing.into)
          stops.push({ recipient: { ...member, id: nextId++, address }, via: [...via, key], budget })
      } else routed.push({ recipient: { ...recipient, id: nextId++ }, lane: undefined, refusal: TOO_MANY })
    }
  }
  return routed
}

/**
 * Who stands behind an alias of several is not the sender's to know when all goes well: the alias itself is reported as
 * expanded, and its members no more (RFC 3461 §5.2.7).
 */
function withoutSuccess(recipient: Recipient): Recipient {
  const notify = recipient.notify!.filter((wish) => wish !== 'success')
  return { ...recipient, notify: notify.length === 0 ? ['never'] : notify }
}

/** Groups routed recipients into entries of at most `recipientLimit`, which may depend on the lane. */
export function entriesOf(
  routed: readonly Routed[],
  recipientLimit: number | ((lane: string) => number),
  dueAt: number,
  held: string | undefined,
): readonly NewEntry[] {
  if (routed.length === 1) return [entry(laneOf(routed[0]!), [routed[0]!.recipient], dueAt, held)]
  const limitOf = typeof recipientLimit === 'number' ? () => recipientLimit : recipientLimit
  const groups = new Map<string, Recipient[][]>()
  for (const each of routed) {
    const lane = laneOf(each)
    const batches = groups.get(lane)
    const last = batches?.at(-1)
    if (batches === undefined) groups.set(lane, [[each.recipient]])
    else if (last === undefined || last.length >= limitOf(lane)) batches.push([each.recipient])
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
