/**
 * A queue as a list of entries: the shortest thing that can say what a store should answer. Where the contract leaves
 * the store a choice (which of several entries due at the same moment), the model takes the store's choice and checks it.
 */
import {
  type Claim,
  claimLane,
  type Instruction,
  isSelected,
  type LaneDue,
  type LaneShape,
  type MessageId,
  movedEntries,
  type NewMessage,
  type PendingRecipient,
  type QueueEntry,
  type QueueStats,
  remainingRecipients,
  type Selection,
  type Settlement,
  type Suspension,
  type SuspensionScope,
  suspensionKey,
} from '@mailwright/core'

interface ModelEntry {
  readonly message: NewMessage
  readonly number: number
  readonly lane: string
  readonly size: number
  recipients: readonly PendingRecipient[]
  dueAt: number
  attempts: number
  held: string | undefined
  instruction: Instruction | undefined
  warned: true | undefined
  claim: { readonly token: string; until: number; ended: boolean } | undefined
}

export interface StoreModel {
  put(message: NewMessage, size: number): boolean
  /** Takes note of claims the store gave; answers what is wrong with them, or undefined. */
  claimed(claims: readonly Claim[], lane: string, now: number, limit: number): string | undefined
  claimedByPut(
    claims: readonly Claim[],
    message: NewMessage,
    lanes: ReadonlySet<string>,
    now: number,
  ): string | undefined
  /** Whether the claim is still its holder's. */
  holds(claim: Claim): boolean
  renew(claim: Claim, until: number): void
  settle(claim: Claim, settlement: Settlement, noticeSize: number): void
  endLeases(now: number): void
  hold(selection: Selection, reason: string): number
  release(selection: Selection, now: number): number
  reschedule(selection: Selection, dueAt: number): number
  instruct(selection: Selection, instruction: Instruction, now: number): number
  remove(selection: Selection): number
  suspend(suspension: Suspension): void
  resume(scope: SuspensionScope): boolean
  /** Forgets all claims, as opening again does. */
  reopen(): void
  lanes(now: number, exclude: ReadonlySet<string>): readonly LaneDue[]
  nextDue(exclude: ReadonlySet<string>): number | undefined
  listing(): readonly QueueEntry[]
  stats(): QueueStats
  /** In order of lane, everything in one column of age. */
  shape(): readonly LaneShape[]
  suspensions(): readonly Suspension[]
}

export function storeModel(): StoreModel {
  let entries: ModelEntry[] = []
  const suspensions = new Map<string, Suspension>()
  const fresh = { attempts: 0, instruction: undefined, warned: undefined, claim: undefined }

  const isFree = (entry: ModelEntry): boolean =>
    entry.held === undefined && (entry.claim === undefined || entry.claim.ended)
  const find = (claim: Claim): ModelEntry | undefined => entries.find((entry) => entry.claim?.token === claim.token)
  const change = (selection: Selection, apply: (entry: ModelEntry) => void): number => {
    const selected = entries.filter((entry) => isSelected(selection, describe(entry)))
    for (const entry of selected) apply(entry)
    return selected.length
  }
  const add = (message: NewMessage, size: number): boolean => {
    if (entries.some((entry) => entry.message.id === message.id)) return false
    for (const [number, { lane, recipients, dueAt, held }] of message.entries.entries())
      entries.push({ message, number, lane, size, recipients, dueAt, held, ...fresh })
    return true
  }
  const note = (claims: readonly Claim[], expected: readonly ModelEntry[], count: number): string | undefined => {
    if (claims.length !== count) return `${claims.length} claims instead of ${count}`
    const dueTimes = expected.map((entry) => entry.dueAt).sort((one, other) => one - other)
    for (const [index, claim] of claims.entries()) {
      const entry = expected.find((each) => isSame(each, claim.entry.message, claim.entry.entry))
      if (entry === undefined) return `${claim.entry.message}/${claim.entry.entry} was not to be claimed`
      if (entry.dueAt !== dueTimes[index]) return `${claim.entry.message} was claimed before its turn`
      entry.claim = { token: claim.token, until: claim.leaseUntil, ended: false }
      if (JSON.stringify(claim.entry) !== JSON.stringify(reorder(describe(entry), claim.entry)))
        return `claimed as ${JSON.stringify(claim.entry)}, stored as ${JSON.stringify(describe(entry))}`
    }
    return undefined
  }

  return {
    put: add,
    claimed(claims, lane, now, limit) {
      const due = entries.filter((entry) => claimLane(entry) === lane && isFree(entry) && entry.dueAt <= now)
      return note(claims, due, Math.min(due.length, limit))
    },
    claimedByPut(claims, message, lanes, now) {
      const own = entries.filter((entry) => entry.message === message && lanes.has(entry.lane))
      const due = own.filter((entry) => isFree(entry) && entry.dueAt <= now)
      // In which order a message's own lanes come is left open.
      const inTurn = [...claims].sort((one, other) => one.entry.dueAt - other.entry.dueAt)
      return note(inTurn, due, due.length)
    },
    holds: (claim) => find(claim) !== undefined,
    renew(claim, until) {
      const entry = find(claim)
      if (entry?.claim !== undefined) entry.claim = { token: entry.claim.token, until, ended: false }
    },
    settle(claim, { outcomes, retryAt, counted, moved, warned, also }, noticeSize) {
      const entry = find(claim)!
      entry.claim = undefined
      entry.recipients = remainingRecipients(entry.recipients, outcomes)
      if (entry.instruction === undefined || claim.entry.instruction !== undefined) entry.dueAt = retryAt
      if (counted) entry.attempts += 1
      if (warned) entry.warned = true
      if (moved !== undefined) {
        const numbers = entries.filter((each) => each.message.id === entry.message.id).map((each) => each.number)
        const first = Math.max(...numbers) + 1
        for (const [index, each] of movedEntries(entry.recipients, moved).entries()) {
          const { lane, recipients, dueAt, held = entry.held } = each
          entries.push({ ...entry, number: first + index, lane, recipients, dueAt, held, instruction: undefined })
        }
      }
      if (moved !== undefined || entry.recipients.length === 0) entries = entries.filter((each) => each !== entry)
      if (also !== undefined) add(also.message, noticeSize)
    },
    endLeases(now) {
      for (const { claim } of entries) if (claim !== undefined && claim.until <= now) claim.ended = true
    },
    hold: (selection, reason) =>
      selection.held === true
        ? 0
        : change({ ...selection, held: false }, (entry) => {
            entry.held = reason
          }),
    release: (selection, now) =>
      selection.held === false
        ? 0
        : change({ ...selection, held: true }, (entry) => {
            entry.held = undefined
            entry.dueAt = now
          }),
    reschedule: (selection, dueAt) =>
      change(selection, (entry) => {
        entry.dueAt = dueAt
      }),
    instruct: (selection, instruction, now) =>
      change(selection, (entry) => {
        entry.instruction = instruction
        entry.dueAt = now
      }),
    remove(selection) {
      const gone = new Set<ModelEntry>()
      change(selection, (entry) => void gone.add(entry))
      entries = entries.filter((entry) => !gone.has(entry))
      return gone.size
    },
    suspend: (suspension) => void suspensions.set(suspensionKey(suspension.scope), suspension),
    resume: (scope) => suspensions.delete(suspensionKey(scope)),
    reopen() {
      for (const entry of entries) entry.claim = undefined
    },
    lanes(now, exclude) {
      const first = new Map<string, number>()
      for (const entry of entries) {
        const lane = claimLane(entry)
        if (isFree(entry) && entry.dueAt <= now && !exclude.has(lane))
          first.set(lane, Math.min(first.get(lane) ?? entry.dueAt, entry.dueAt))
      }
      return [...first].map(([lane, dueAt]) => ({ lane, dueAt })).sort((one, other) => one.dueAt - other.dueAt)
    },
    nextDue(exclude) {
      const free = entries.filter((entry) => isFree(entry) && !exclude.has(claimLane(entry)))
      const times = free.map((entry) => entry.dueAt)
      return times.length === 0 ? undefined : Math.min(...times)
    },
    listing: () => [...entries].sort(inListingOrder).map(describe),
    stats() {
      const messages = new Map<MessageId, ModelEntry>(entries.map((entry) => [entry.message.id, entry]))
      const arrivals = [...messages.values()].map((entry) => entry.message.arrivedAt)
      return {
        messages: messages.size,
        entries: entries.length,
        held: entries.filter((entry) => entry.held !== undefined).length,
        deferred: entries.filter((entry) => entry.attempts > 0).length,
        claimed: entries.filter((entry) => entry.claim !== undefined && !entry.claim.ended).length,
        bytes: [...messages.values()].reduce((sum, entry) => sum + entry.size, 0),
        lanes: new Set(entries.map((entry) => entry.lane)).size,
        oldest: arrivals.length === 0 ? undefined : Math.min(...arrivals),
      }
    },
    shape() {
      const counts = new Map<string, number>()
      for (const { lane } of entries) counts.set(lane, (counts.get(lane) ?? 0) + 1)
      return [...counts.keys()].sort().map((lane) => {
        const count = counts.get(lane)!
        return { lane, entries: count, ages: [count, 0] }
      })
    },
    suspensions: () => [...suspensions.keys()].sort().map((key) => suspensions.get(key)!),
  }
}

function isSame(entry: ModelEntry, message: MessageId, number: number): boolean {
  return entry.message.id === message && entry.number === number
}

function describe(entry: ModelEntry): QueueEntry {
  const { message, number, lane, recipients, size, dueAt, attempts, held, instruction, warned, claim } = entry
  const { id, sender, arrivedAt, options } = message
  const base = { message: id, entry: number, lane, sender, recipients, size, arrivedAt, dueAt, attempts, held }
  const claimed = claim !== undefined && !claim.ended
  return { ...base, instruction, warned, labels: options.labels, claimed }
}

/** The same entry with its fields in the other's order, so that both print alike. */
function reorder(entry: QueueEntry, like: QueueEntry): Record<string, unknown> {
  const fields = entry as unknown as Record<string, unknown>
  return Object.fromEntries(Object.keys(like).map((name) => [name, fields[name]]))
}

function inListingOrder(one: ModelEntry, other: ModelEntry): number {
  if (one.message.id !== other.message.id) return one.message.id < other.message.id ? -1 : 1
  return one.number - other.number
}
