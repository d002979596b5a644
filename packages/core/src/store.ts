/**
 * The queue's storage port. A store keeps messages and hands out entries; it does not schedule and knows no SMTP.
 *
 * A message is stored once and has one entry per lane. An entry is exclusive while it is claimed: the claim carries a
 * fencing token, and a settlement by a claim that lost its lease is refused with `ERR_MAILWRIGHT_CLAIM_LOST`.
 * Methods reject with `ERR_MAILWRIGHT_STORE` when storage fails; nothing is then half done.
 */
import type { Call } from './call.ts'
import type { Labels, MailOptions, MessageId, Recipient, RecipientId } from './envelope.ts'
import type { Events } from './events.ts'
import type { Mailbox } from './mailbox.ts'
import type { MessageSource, Spool } from './message.ts'
import type { Outcome } from './outcome.ts'
import type { Reply, TransientCode } from './reply.ts'
import type { Suspension, SuspensionScope } from './suspension.ts'

export interface NewMessage {
  readonly id: MessageId
  readonly sender: Mailbox | null
  readonly options: MailOptions
  /** When it was accepted, ms since the epoch. */
  readonly arrivedAt: number
  /** At least one. Several may share a lane, when one lane has more recipients than an attempt takes. */
  readonly entries: readonly NewEntry[]
}

export interface NewEntry {
  /** An opaque, indexed string. */
  readonly lane: string
  readonly recipients: readonly Recipient[]
  /** ms since the epoch. */
  readonly dueAt: number
  /** Why it waits for an operator; absent when it does not. */
  readonly held?: string | undefined
}

/** An entry as it stands in the queue. */
export interface QueueEntry {
  readonly message: MessageId
  /** Tells the entries of one message apart; stable. */
  readonly entry: number
  readonly lane: string
  readonly sender: Mailbox | null
  /** Those still to be served, each with what was last said of it. */
  readonly recipients: readonly PendingRecipient[]
  readonly size: number
  readonly arrivedAt: number
  readonly dueAt: number
  /** Attempts counted so far. */
  readonly attempts: number
  readonly held?: string | undefined
  /** What an operator wants done with it when it is next claimed. */
  readonly instruction?: Instruction | undefined
  /** The sender has been told that it is late. */
  readonly warned?: true | undefined
  readonly labels?: Labels | undefined
  /** Whether somebody is delivering it now, as far as this process can tell. */
  readonly claimed: boolean
}

/**
 * What is to be done with an entry instead of trying it: `requeue`: route its recipients again; `reroute`: go on in this
 * lane; `expire`: return it to its sender. Kept with the entry, so that any process may give it; whoever delivers from
 * the store carries it out when it claims the entry, from the lane that `claimLane` tells.
 */
export type Instruction =
  | { readonly kind: 'requeue' }
  | { readonly kind: 'reroute'; readonly lane: string }
  | { readonly kind: 'expire' }

/** Where an entry stands: kept by an operator, in somebody's hands, tried and waiting for another time, or never tried. */
export type EntryStatus = 'held' | 'claimed' | 'deferred' | 'waiting'

export interface PendingRecipient extends Recipient {
  /** The last deferral, as `replyLine` or the remote answer's text. */
  readonly lastReply?: string | undefined
}

/** The right to deliver one entry, until the lease ends. */
export interface Claim {
  readonly token: string
  readonly entry: QueueEntry
  readonly options: MailOptions
  readonly message: MessageSource
  /** ms since the epoch. */
  readonly leaseUntil: number
}

export interface Settlement {
  /**
   * `ok` and `failed` recipients leave the queue, `deferred` ones and those not named stay.
   * An entry without recipients is gone; a message without entries is gone, body and all.
   */
  readonly outcomes: ReadonlyMap<RecipientId, Outcome>
  /** When what stays is due again, ms since the epoch. */
  readonly retryAt: number
  /** Whether this was an attempt, as against a deferral by some limit of ours. */
  readonly counted: boolean
  /**
   * Where those who stay go on instead: entries that between them name each once, as `movedEntries` reads it. They are
   * numbered on from the highest entry of the message, and keep its attempts, its hold and that its sender was warned.
   * An instruction of the entry has then been carried out; any other settlement leaves it.
   */
  readonly moved?: readonly NewEntry[] | undefined
  /** The sender has been told that it is late. Once set it stays. */
  readonly warned?: true | undefined
  /** A message put in the same atomic change: the DSN this settlement causes. Its body is in memory. */
  readonly also?: { readonly message: NewMessage; readonly source: MessageSource } | undefined
}

/** Whose doing an arrival was: an operator's, who wants it tried now, or anybody's. */
export type Arrival = 'operator' | 'mail'

/** What a settlement leaves of its message in the queue. */
export type Remainder = 'waiting' | 'nothing'

export interface LaneDue {
  readonly lane: string
  /** When its earliest unclaimed entry was or will be due. */
  readonly dueAt: number
}

export interface LaneQuery {
  readonly now: number
  readonly limit: number
  /** Lanes not to report; a lane here costs nothing however much it holds. */
  readonly exclude?: ReadonlySet<string> | undefined
}

export interface ClaimQuery {
  readonly lane: string
  readonly now: number
  readonly limit: number
  readonly leaseMs: number
}

/** Which entries an operator means. All given conditions must hold; an empty selection means everything. */
export interface Selection {
  readonly messages?: readonly MessageId[] | undefined
  /** Some entries of these messages only. */
  readonly entries?: readonly { readonly message: MessageId; readonly entry: number }[] | undefined
  /** A lane, or with the key of a destination all lanes of it. */
  readonly lane?: string | undefined
  /** The whole sender address, as `formatMailbox` writes it, compared without case; `''` is the null sender. */
  readonly sender?: string | undefined
  /** A whole address, or `@domain`. Compared without case. */
  readonly recipient?: string | undefined
  readonly held?: boolean | undefined
  readonly status?: EntryStatus | undefined
  /** Labels the message must have, with these values. */
  readonly labels?: Labels | undefined
  /** ms since the epoch. */
  readonly arrivedBefore?: number | undefined
  readonly arrivedSince?: number | undefined
  /** Octets of the message, both included. */
  readonly atLeast?: number | undefined
  readonly atMost?: number | undefined
  /** Part of what was last said of one of its recipients. Compared without case. */
  readonly lastReply?: string | undefined
}

export interface QueueStats {
  readonly messages: number
  readonly entries: number
  readonly held: number
  /** Entries that have been tried. */
  readonly deferred: number
  readonly claimed: number
  /** Bytes of heads and bodies. */
  readonly bytes: number
  readonly lanes: number
  /** Arrival of the oldest message, ms since the epoch. */
  readonly oldest?: number | undefined
}

/** How old the mail of each lane is, as `qshape` shows it. */
export interface ShapeQuery {
  readonly now: number
  /** Upper bounds of age in ms, ascending; what is older than the last is counted in a column of its own. */
  readonly ages: readonly number[]
  /** Most lanes, those with most entries first. */
  readonly limit: number
}

export interface LaneShape {
  readonly lane: string
  readonly entries: number
  /** Entries by age, right to within 5 minutes: one more than `ages`. */
  readonly ages: readonly number[]
}

export interface QueueStore {
  /**
   * Opens, recovers what a crash left, and reports it as `store.recovered`. Called once, before anything else.
   * Rejects with `ERR_MAILWRIGHT_STORE_BUSY` when another process owns the store.
   */
  open(events: Events): Promise<void>
  /** Closes after what is under way. Claims still held are free for the next owner. */
  close(): Promise<void>

  /** Where a large body may be written while it arrives. */
  spool(): Spool
  /**
   * Durable when it resolves; the same id twice is a no-op that resolves with no claims.
   * With `claim`, all entries whose lanes it names are claimed by the caller in the same step, as if by `claim`.
   */
  put(message: NewMessage, source: MessageSource, claim: PutClaim | undefined, call: Call): Promise<readonly Claim[]>
  /** Lanes with unclaimed, unheld entries due at `now`, the longest waiting first. For these queries the lane of an entry is `claimLane`. */
  lanes(query: LaneQuery): Promise<readonly LaneDue[]>
  /** Claims due entries of one lane, the longest due first. Entries whose lease ended may be claimed again. */
  claim(query: ClaimQuery): Promise<readonly Claim[]>
  /** Makes a lease last until `until`. Rejects with `ERR_MAILWRIGHT_CLAIM_LOST`. */
  renew(claim: Claim, until: number): Promise<void>
  /**
   * ONE atomic, durable change. Rejects with `ERR_MAILWRIGHT_CLAIM_LOST`; settling twice is refused the same way.
   * Resolves with whether anything of the message is still waiting.
   */
  settle(claim: Claim, settlement: Settlement): Promise<Remainder>
  /** When the earliest unclaimed, unheld entry of a lane not excluded is due; undefined when there is none. */
  nextDue(exclude?: ReadonlySet<string>): Promise<number | undefined>

  /** Entries in order of message id. `after` continues a listing: the `message` and `entry` of the last one seen. */
  entries(query: EntriesQuery): Promise<readonly QueueEntry[]>
  /** The stored message, for `queue cat`; undefined when there is none. */
  read(message: MessageId): Promise<MessageSource | undefined>
  /** Keeps entries from delivery. A claimed entry finishes its attempt first. Resolves with how many changed. */
  hold(selection: Selection, reason: string): Promise<number>
  /** Ends the hold; the entries are due at `now`. */
  release(selection: Selection, now: number): Promise<number>
  /** Makes entries due at `dueAt`. */
  reschedule(selection: Selection, dueAt: number): Promise<number>
  /**
   * Writes an instruction into entries and makes them due at `now`. Held ones stay held. One that is claimed finishes its
   * attempt first; what that leaves is due when the instruction says, not at `retryAt`. Resolves with how many changed.
   */
  instruct(selection: Selection, instruction: Instruction, now: number): Promise<number>
  /** Removes entries, and messages left without one. A claimed entry is removed too: its settlement is then lost. */
  remove(selection: Selection): Promise<number>
  stats(): Promise<QueueStats>
  /** Kept as counters: in proportion to the lanes and the spread of ages, not to the queue. */
  shape(query: ShapeQuery): Promise<readonly LaneShape[]>

  /** Keeps it durably; a suspension of the same scope is replaced. Whoever delivers learns of it by `onArrival`. */
  suspend(suspension: Suspension): Promise<void>
  /** Ends it. Resolves with whether there was one. */
  resume(scope: SuspensionScope): Promise<boolean>
  /** Few, in order of their keys. Those whose time is over may still be among them. */
  suspensions(): Promise<readonly Suspension[]>

  /** Cheap and synchronous: why new mail cannot be taken now, or null. */
  refusing(): Reply<TransientCode> | null
  /** Calls back when entries may have become due by other hands than this process's `put`. The result unsubscribes. */
  onArrival(listener: (by: Arrival) => void): () => void
}

export interface PutClaim {
  readonly lanes: ReadonlySet<string>
  readonly now: number
  readonly leaseMs: number
}

export interface EntriesQuery {
  readonly selection?: Selection | undefined
  readonly limit: number
  readonly after?: { readonly message: MessageId; readonly entry: number } | undefined
}
