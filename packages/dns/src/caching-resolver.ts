/**
 * A cache before another resolver (RFC 1034 §4.3.4, RFC 2308 for negative answers, RFC 8767 for stale ones).
 *
 * Answers are kept for their TTL, "no such name" for a shorter time, failures briefly, so that a dead name server is not
 * asked for every message. Callers who ask the same at the same time share one look-up. When a refresh fails, an answer
 * with records is used beyond its TTL; a stale "no such name" is not, since it would refuse mail for good on old news.
 * An answer from the cache tells the time it has left. Nothing is refreshed before somebody asks.
 */
import {
  type Call,
  type Clock,
  type DnsAnswer,
  type Duration,
  MailwrightError,
  milliseconds,
  type RecordType,
  type RecordTypes,
  type Resolver,
} from '@mailwright/core'
import { LRUCache } from 'lru-cache'
import { type SharedLookup, sharedLookup } from './shared-lookup.ts'

export interface CachingResolverOptions {
  /** Who is asked. */
  readonly inner: Resolver
  readonly clock: Clock
  /** Most answers kept; the one longest unused goes first. 10,000 when not given. */
  readonly maxEntries?: number
  /** Longest an answer with records is kept, whatever its TTL. `'1h'`. */
  readonly maxTtl?: Duration
  /** Shortest any answer is kept. `'1s'`. */
  readonly minTtl?: Duration
  /** Longest an answer without records is kept. `'5m'`. */
  readonly negativeTtl?: Duration
  /** How long a failure is kept, and how long a stale answer is used before the next try. `'5s'`. */
  readonly failureTtl?: Duration
  /** How long beyond its TTL an answer may be used while refreshing it fails; 0 for never. `'1h'`. */
  readonly staleFor?: Duration
}

type Answer = DnsAnswer<RecordTypes[RecordType]>

interface Entry {
  readonly answer: Answer
  /** ms since the epoch. */
  readonly freshUntil: number
  /** May be used until then when a refresh fails. */
  readonly staleUntil: number
}

/**
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for limits that cannot work.
 * @example
 * const dns = cachingResolver({ inner: systemResolver(), clock, maxTtl: '30m' })
 */
export function cachingResolver(options: CachingResolverOptions): Resolver {
  const { inner, clock, maxEntries = 10_000 } = options
  if (!Number.isInteger(maxEntries) || maxEntries < 1) {
    throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `not a number of entries: ${maxEntries}`)
  }
  const minTtl = milliseconds(options.minTtl ?? '1s')
  const maxTtl = milliseconds(options.maxTtl ?? '1h')
  const negativeTtl = milliseconds(options.negativeTtl ?? '5m')
  const failureTtl = milliseconds(options.failureTtl ?? '5s')
  const staleFor = milliseconds(options.staleFor ?? '1h')
  const entries = new LRUCache<string, Entry>({ max: maxEntries })
  const lookups = new Map<string, SharedLookup<Answer>>()

  function entryFor(answer: Answer, before: Entry | undefined, now: number): Entry {
    if (answer.status === 'found') {
      const freshUntil = now + Math.max(minTtl, Math.min(answer.ttlMs, maxTtl))
      return { answer, freshUntil, staleUntil: freshUntil + staleFor }
    }
    if (answer.status === 'none') {
      const freshUntil = now + Math.max(minTtl, Math.min(answer.ttlMs, negativeTtl))
      return { answer, freshUntil, staleUntil: freshUntil }
    }
    const freshUntil = now + failureTtl
    if (before !== undefined && before.staleUntil > now) {
      return {
        answer: before.answer,
        freshUntil: Math.min(freshUntil, before.staleUntil),
        staleUntil: before.staleUntil,
      }
    }
    return { answer, freshUntil, staleUntil: freshUntil }
  }

  async function ask(key: string, name: string, type: RecordType, call: Call): Promise<Answer> {
    let answer: Answer
    try {
      answer = await inner.resolve(name, type, call)
    } catch (error) {
      call.signal.throwIfAborted()
      answer = { status: 'failed', cause: String(error) }
    }
    const now = clock.now()
    const entry = entryFor(answer, entries.peek(key), now)
    entries.set(key, entry)
    return withTimeLeft(entry, now)
  }

  function lookUp(key: string, name: string, type: RecordType): SharedLookup<Answer> {
    const running = lookups.get(key)
    if (running !== undefined && !running.abandoned) return running
    const lookup = sharedLookup<Answer>(async (call) => {
      try {
        return await ask(key, name, type, call)
      } finally {
        if (lookups.get(key) === lookup) lookups.delete(key)
      }
    })
    lookups.set(key, lookup)
    return lookup
  }

  return {
    resolve<T extends RecordType>(name: string, type: T, call: Call) {
      const asked = name.toLowerCase()
      const key = `${type} ${asked}`
      const entry = entries.get(key)
      const now = clock.now()
      if (entry !== undefined && entry.freshUntil > now) return withTimeLeft(entry, now) as DnsAnswer<RecordTypes[T]>
      if (call.signal.aborted) return Promise.reject(call.signal.reason)
      return lookUp(key, asked, type).join(call) as Promise<DnsAnswer<RecordTypes[T]>>
    },
  }
}

function withTimeLeft(entry: Entry, now: number): Answer {
  const { answer } = entry
  return answer.status === 'failed' ? answer : { ...answer, ttlMs: entry.freshUntil - now }
}
