/**
 * The queue's storage port. A store keeps messages and hands out entries; it does not schedule and knows no SMTP.
 *
 * A message is stored once and has one entry per lane. An entry is exclusive while it is claimed: the claim carries a
 * fencing token, and a settlement by a claim that lost its lease is refused with `ERR_MAILWRIGHT_CLAIM_LOST`.
 * Methods reject with `ERR_MAILWRIGHT_STORE` when storage fails; nothing is then half done.
 */
import type { Call } from './call.ts'
import type { MailOptions, MessageId, Recipient, RecipientId } from './envelope.ts'
import type { Events } from './events.ts'
import type { Mailbox } from './mailbox.ts'
import type { MessageSource, Spool } from './message.ts'
import type { Outcome } from './outcome.ts'
import type { Reply, TransientCode } from './reply.ts'

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
  /** Whether somebody is delivering it now, as far as this process can tell. */
  readonly claimed: boolean
}

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
  readonly lane?: string | undefined
  /** The whole sender address, as `formatMailbox` writes it, compared without case; `''` is the null sender. */
  readonly sender?: string | undefined
  /** A whole address, or `@domain`. Compared without case. */
  readonly recipient?: string | undefined
  readonly held?: boolean | undefined
}

export interface QueueStats {
  readonly messages: number
  readonly entries: number
  readonly held: number
  readonly claimed: number
  /** Bytes of heads and bodies. */
  readonly bytes: number
  readonly lanes: number
  /** Arrival of the oldest message, ms since the epoch. */
  readonly oldest?: number | undefined
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
  /** Lanes with unclaimed, unheld entries due at `now`, the longest waiting first. */
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
  /** Removes entries, and messages left without one. A claimed entry is removed too: its settlement is then lost. */
  remove(selection: Selection): Promise<number>
  stats(): Promise<QueueStats>

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
