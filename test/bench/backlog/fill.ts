/** Fills a spool with deferred mail: tried once each, as a bad day would leave it. */
import {
  type Claim,
  type Events,
  laneKey,
  type NewMessage,
  type Outcome,
  type QueueStore,
  type RecipientId,
  reply,
} from '@mailwright/core'
import { memorySource } from '@mailwright/message'
import { lmdbStore } from '@mailwright/store-lmdb'

/** Where the mail of the backlog waits. */
export interface Backlog {
  readonly directory: string
  /** Messages for one destination that answers nobody, all due. */
  readonly dead: number
  /** The destination of these. */
  readonly deadDestination: string
  /** Messages for others, due in an hour. */
  readonly deferred: number
  /** How many others. */
  readonly destinations: number
  /** Octets of a message. */
  readonly size: number
}

const NOBODY: Events = { wants: () => false, emit: () => {}, subscribe: () => () => {} }
const LATER: Outcome = { status: 'deferred', scope: 'message', reply: reply(451, '4.4.1', 'No answer from host') }
const BATCH = 1_000
const HOUR = 3_600_000
const never = { signal: new AbortController().signal }

/** Puts it all, and has each tried once. Says how far it is. */
export async function fill(backlog: Backlog, say: (done: number) => void): Promise<void> {
  const store = lmdbStore({ directory: backlog.directory, cacheBytes: 0 })
  await store.open(NOBODY)
  const total = backlog.dead + backlog.deferred
  for (let first = 0; first < total; first += BATCH) {
    await tryOnce(store, backlog, first, Math.min(first + BATCH, total))
    if (first % 100_000 === 0) say(first)
  }
  await store.close()
}

/** A batch is put with its claims, and settled as deferred. */
async function tryOnce(store: QueueStore, backlog: Backlog, from: number, to: number): Promise<void> {
  const now = Date.now()
  const putting: Promise<readonly Claim[]>[] = []
  for (let index = from; index < to; index++) {
    const message = letter(backlog, index, now)
    const claim = { lanes: new Set([message.entries[0]!.lane]), now, leaseMs: HOUR }
    putting.push(store.put(message, source(backlog.size, index), claim, never))
  }
  const claims = (await Promise.all(putting)).flat()
  await Promise.all(
    claims.map((claim) => {
      const outcomes = new Map<RecipientId, Outcome>([[1, LATER]])
      const dead = claim.entry.lane.endsWith(backlog.deadDestination)
      return store.settle(claim, { outcomes, retryAt: dead ? now : now + HOUR, counted: true })
    }),
  )
}

function letter(backlog: Backlog, index: number, now: number): NewMessage {
  const dead = index < backlog.dead
  const domain = dead ? 'dead.example' : `host${index % backlog.destinations}.example`
  const destination = dead ? backlog.deadDestination : domain
  const address = { local: `user${index}`, domain }
  return {
    id: `b${index.toString().padStart(9, '0')}`,
    sender: { local: 'sender', domain: 'example.com' },
    options: {},
    arrivedAt: now,
    entries: [
      {
        lane: laneKey({ transport: 'smtp', destination }),
        recipients: [{ id: 1, address, original: address }],
        dueAt: now,
      },
    ],
  }
}

function source(size: number, index: number): ReturnType<typeof memorySource> {
  const head = Buffer.from(`Subject: deferred ${index}\r\n\r\n`, 'latin1')
  return memorySource(head, Buffer.alloc(size - head.length, 'A line of an ordinary message.\r\n'))
}
