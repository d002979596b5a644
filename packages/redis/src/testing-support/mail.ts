/** Small mail, and stores that are closed when the test is over. */
import type { Call, Claim, Events, MailEvent, MessageSource, NewMessage, Outcome, Settlement } from '@mailwright/core'
import { onTestFinished } from 'vitest'
import type { RedisStoreOptions } from '../options.ts'
import { type RedisStore, redisStore } from '../redis-store.ts'

export const CALL: Call = { signal: new AbortController().signal }
export const LANE = 'smtp:example.org'

/** A message of one recipient, due at 0. */
export function message(id: string, lane: string = LANE, dueAt = 0): NewMessage {
  const address = { local: 'ann', domain: 'example.org' }
  const recipients = [{ id: 1, address, original: address }]
  return { id, sender: null, options: {}, arrivedAt: 0, entries: [{ lane, recipients, dueAt }] }
}

export function letter(body: Uint8Array | string = 'Hello\r\n'): MessageSource {
  const head = Buffer.from('Subject: test\r\n\r\n')
  const buffered = typeof body === 'string' ? Buffer.from(body) : body
  return {
    head,
    size: head.length + buffered.length,
    buffered,
    async *body(): AsyncGenerator<Uint8Array> {
      yield buffered
    },
  }
}

export async function contentOf(source: MessageSource): Promise<Buffer> {
  const chunks: Uint8Array[] = [source.head]
  for await (const chunk of source.body(CALL)) chunks.push(chunk)
  return Buffer.concat(chunks)
}

const RELAYED: Outcome = { status: 'ok', action: 'relayed', reply: { code: 250, enhanced: '2.0.0', text: 'Ok' } }
const DEFERRED: Outcome = {
  status: 'deferred',
  scope: 'recipient',
  reply: { code: 451, enhanced: '4.3.0', text: 'Later' },
}

export function relayed(claim: Claim): Settlement {
  return settlement(claim, RELAYED, 0)
}

export function deferred(claim: Claim, retryAt: number): Settlement {
  return settlement(claim, DEFERRED, retryAt)
}

function settlement(claim: Claim, outcome: Outcome, retryAt: number): Settlement {
  return { outcomes: new Map(claim.entry.recipients.map(({ id }) => [id, outcome])), retryAt, counted: true }
}

/** Claims what is due in a lane at 0, for a minute. */
export function claimAll(store: RedisStore, lane: string = LANE, leaseMs = 60_000): Promise<readonly Claim[]> {
  return store.claim({ lane, now: 0, limit: 1_000, leaseMs })
}

/** Asks for the first due lane: what a scheduler does when it is woken. */
export async function dueLanes(store: RedisStore, now = 0): Promise<readonly string[]> {
  return (await store.lanes({ now, limit: 100 })).map(({ lane }) => lane)
}

export interface EventLog extends Events {
  readonly log: readonly MailEvent[]
}

export function eventLog(): EventLog {
  const log: MailEvent[] = []
  return { log, wants: () => true, emit: (event) => void log.push(event), subscribe: () => () => {} }
}

export interface OpenedStore {
  readonly store: RedisStore
  readonly events: EventLog
}

/** An open store of the queue `edge` at a socket. */
export async function openedStore(path: string, options: Partial<RedisStoreOptions> = {}): Promise<OpenedStore> {
  const store = redisStore({ connection: { path }, name: 'edge', ...options })
  const events = eventLog()
  await store.open(events)
  onTestFinished(() => store.close())
  return { store, events }
}
