/** What the store conformance cases are made of: small mail, and short ways to ask a store about it. */
import type {
  Call,
  Claim,
  Events,
  MailEvent,
  MessageId,
  MessageSource,
  NewEntry,
  NewMessage,
  Outcome,
  PutClaim,
  QueueEntry,
  QueueStore,
  RecipientId,
  Remainder,
} from '@mailwright/core'
import { recipients } from '../test-mail.ts'

/** A store to try, and how to get rid of it. */
export interface StoreUnderTest {
  /** Not opened yet. */
  readonly store: QueueStore
  /** A store on the data of the first, which is closed by then. Not opened yet. Absent for stores that forget. */
  readonly reopen?: () => Promise<QueueStore>
  dispose(): Promise<void>
}

/** What a case is given: an open store. */
export interface StoreBench {
  readonly store: QueueStore
  readonly events: readonly MailEvent[]
  /** Closes the store and opens it again. The old object must not be used any more. */
  readonly reopen: () => Promise<QueueStore>
}

export interface StoreCase {
  readonly title: string
  readonly needs?: 'reopen'
  run(bench: StoreBench): Promise<void>
}

export const CALL: Call = { signal: new AbortController().signal }
/** The time at which cases begin, ms since the epoch. */
export const NOON: number = Date.UTC(2026, 0, 1, 12)
export const MINUTE = 60_000
export const LEASE_MS = 300_000
export const FIRST_LANE = 'smtp:example.org'
export const SECOND_LANE = 'smtp:example.com'
/** A line of its own to the destination of the second lane. */
export const BULK_LANE = 'smtp/bulk:example.com'

export const RELAYED: Outcome = {
  status: 'ok',
  action: 'relayed',
  reply: { code: 250, enhanced: '2.0.0', text: 'Ok' },
}
export const REFUSED: Outcome = {
  status: 'failed',
  reply: { code: 550, enhanced: '5.1.1', text: 'No such user' },
}
export const DEFERRED: Outcome = {
  status: 'deferred',
  scope: 'recipient',
  reply: { code: 451, enhanced: '4.3.0', text: 'Try later' },
}

export interface Draft {
  readonly sender?: NewMessage['sender']
  readonly options?: NewMessage['options']
  readonly arrivedAt?: number
  readonly lane?: string
  readonly to?: readonly string[]
  readonly dueAt?: number
  readonly held?: string
  /** Instead of `lane`, `to`, `dueAt` and `held`, for several entries. */
  readonly entries?: readonly NewEntry[]
}

/** A message that came at noon and is due then, for ann@example.org, unless it says otherwise. */
export function draft(id: MessageId, given: Draft = {}): NewMessage {
  const entry = newEntry(given.lane ?? FIRST_LANE, given.to ?? ['ann@example.org'], given.dueAt ?? NOON, given.held)
  return {
    id,
    sender: given.sender === undefined ? { local: 'sender', domain: 'example.net' } : given.sender,
    options: given.options ?? {},
    arrivedAt: given.arrivedAt ?? NOON,
    entries: given.entries ?? [entry],
  }
}

/** An entry for recipients numbered from 1. */
export function newEntry(lane: string, to: readonly string[], dueAt: number = NOON, held?: string): NewEntry {
  return { lane, recipients: recipients(...to), dueAt, ...(held === undefined ? {} : { held }) }
}

const HEAD = Buffer.from('Subject: test\r\n\r\n')

/** A message in memory. */
export function letter(body: Uint8Array | string = 'Hello\r\n', head: Uint8Array = HEAD): MessageSource {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body
  return {
    head,
    size: head.length + bytes.length,
    buffered: bytes,
    async *body(call: Call): AsyncGenerator<Uint8Array> {
      call.signal.throwIfAborted()
      if (bytes.length > 0) yield bytes
    },
  }
}

/** Head and body as one, read to the end. */
export async function contentOf(source: MessageSource): Promise<Buffer> {
  return Buffer.concat([source.head, await collect(source.body(CALL))])
}

export async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = []
  for await (const chunk of chunks) all.push(Uint8Array.from(chunk))
  return Buffer.concat(all)
}

/** Puts a small message, claiming nothing unless asked. */
export async function put(store: QueueStore, message: NewMessage, claim?: PutClaim): Promise<readonly Claim[]> {
  return store.put(message, letter(), claim, CALL)
}

/** Claims what is due in a lane, at noon unless it says otherwise. */
export async function claimDue(
  store: QueueStore,
  lane: string = FIRST_LANE,
  now: number = NOON,
  limit = 100,
): Promise<readonly Claim[]> {
  return store.claim({ lane, now, limit, leaseMs: LEASE_MS })
}

/** Claims the one entry that is due in a lane. */
export async function claimOne(store: QueueStore, lane: string = FIRST_LANE, now: number = NOON): Promise<Claim> {
  const claims = await claimDue(store, lane, now)
  if (claims.length !== 1) throw new Error(`${claims.length} entries of ${lane} are due, not one`)
  return claims[0]!
}

/** The same outcome for all recipients of a claim. */
export function all(claim: Claim, outcome: Outcome): ReadonlyMap<RecipientId, Outcome> {
  return new Map(claim.entry.recipients.map((recipient) => [recipient.id, outcome]))
}

/** Settles a claim with one outcome for everybody. */
export async function settleAll(
  store: QueueStore,
  claim: Claim,
  outcome: Outcome,
  retryAt: number = NOON,
): Promise<Remainder> {
  return store.settle(claim, { outcomes: all(claim, outcome), retryAt, counted: true })
}

/** Everything in the queue, in order. */
export async function listing(store: QueueStore): Promise<readonly QueueEntry[]> {
  return store.entries({ limit: 10_000 })
}

export async function ids(store: QueueStore): Promise<readonly MessageId[]> {
  return (await listing(store)).map((entry) => entry.message)
}

/** Events that remember, without a clock. */
export function eventLog(): { readonly events: Events; readonly log: readonly MailEvent[] } {
  const log: MailEvent[] = []
  const events: Events = {
    wants: () => true,
    emit: (event) => void log.push(event),
    subscribe: () => () => {},
  }
  return { events, log }
}
