/**
 * DNS from an object literal. It denies by default: a question nobody wrote an answer for is answered `failed` and
 * remembered, and `assertQuiet` names it; so a test cannot pass because a look-up found nothing by accident.
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
  sleep,
  type TlsaRecord,
} from '@mailwright/core'

/** The records of one name. A type that is not there is "no data"; CNAME is followed. */
export interface ZoneRecords {
  readonly A?: readonly string[]
  readonly AAAA?: readonly string[]
  /** Preference and exchange; `[[0, '']]` is the null MX. */
  readonly MX?: readonly (readonly [number, string])[]
  /** Each record as one string, or as its parts. */
  readonly TXT?: readonly (string | readonly string[])[]
  readonly PTR?: readonly string[]
  readonly CNAME?: readonly string[]
  readonly NS?: readonly string[]
  readonly TLSA?: readonly TlsaRecord[]
  /** Questions for these types fail, as with a server that knows only half. */
  readonly failing?: readonly RecordType[]
  /** Default 300 s. */
  readonly ttl?: Duration
  /** `true`: the answers count as validated by DNSSEC. */
  readonly secure?: boolean
}

/** `no-name`: the name does not exist, and the test means it. `failed`: the server for it is broken. */
export type ZoneEntry = ZoneRecords | 'no-name' | 'failed'

/** Names as keys, without final dot. `*.example.org` stands for every name below that has no entry of its own. */
export type Zones = Readonly<Record<string, ZoneEntry>>

export interface DnsQuestion {
  readonly name: string
  readonly type: RecordType
}

export interface FakeDns extends Resolver {
  /** Every question so far. */
  readonly questions: readonly DnsQuestion[]
  /** Questions nobody wrote an answer for. */
  readonly unexpected: readonly DnsQuestion[]
  /** Changes a name, from now on. */
  set(name: string, entry: ZoneEntry): void
  /** Questions about the name fail until `recover`, as with a dead name server. */
  fail(name: string, cause?: string): void
  recover(name: string): void
  /** Answers about the name take so long. Needs a clock. */
  delay(name: string, time: Duration): void
  /** Throws, naming them, if there were questions nobody wrote an answer for. */
  assertQuiet(): void
}

const LONGEST_ALIAS_CHAIN = 8

/**
 * Makes a resolver for the names given.
 *
 * @example
 * const dns = fakeDns({ 'example.org': { MX: [[10, 'mx.example.org']] }, 'mx.example.org': { A: ['192.0.2.10'] } })
 */
export function fakeDns(zones: Zones = {}, options: { readonly clock?: Clock } = {}): FakeDns {
  const entries = new Map<string, ZoneEntry>()
  const failures = new Map<string, string>()
  const delays = new Map<string, number>()
  const questions: DnsQuestion[] = []
  const unexpected: DnsQuestion[] = []
  for (const [name, entry] of Object.entries(zones)) entries.set(nameKey(name), entry)

  function answer<T extends RecordType>(name: string, type: T, hops: number): DnsAnswer<RecordTypes[T]> {
    const key = nameKey(name)
    const failure = failures.get(key)
    if (failure !== undefined) return { status: 'failed', cause: failure }
    const entry = entries.get(key) ?? wildcard(key, entries)
    if (entry === undefined) {
      unexpected.push({ name, type })
      return { status: 'failed', cause: `nobody expected a question for ${type} of ${name}` }
    }
    if (entry === 'failed') return { status: 'failed', cause: 'SERVFAIL' }
    if (entry === 'no-name') return { status: 'none', reason: 'no-name', ttlMs: 300_000, secure: false }
    if (entry.failing?.includes(type)) return { status: 'failed', cause: 'SERVFAIL' }
    const alias = type === 'CNAME' ? undefined : entry.CNAME?.[0]
    if (alias !== undefined) {
      return hops === 0 ? { status: 'failed', cause: 'CNAME loop' } : answer(alias, type, hops - 1)
    }
    const facts = { ttlMs: milliseconds(entry.ttl ?? '300s'), secure: entry.secure ?? false }
    const records = recordsOf(entry, type)
    return records.length > 0 ? { status: 'found', records, ...facts } : { status: 'none', reason: 'no-data', ...facts }
  }

  async function answerLate<T extends RecordType>(name: string, type: T, ms: number, call: Call) {
    await sleep(options.clock!, ms, call.signal)
    return answer(name, type, LONGEST_ALIAS_CHAIN)
  }

  return {
    questions,
    unexpected,
    resolve<T extends RecordType>(name: string, type: T, call: Call) {
      questions.push({ name, type })
      if (call.signal.aborted) return Promise.reject(call.signal.reason)
      const ms = delays.get(nameKey(name))
      return ms === undefined ? answer(name, type, LONGEST_ALIAS_CHAIN) : answerLate(name, type, ms, call)
    },
    set(name: string, entry: ZoneEntry): void {
      entries.set(nameKey(name), entry)
    },
    fail(name: string, cause = 'SERVFAIL'): void {
      failures.set(nameKey(name), cause)
    },
    recover(name: string): void {
      failures.delete(nameKey(name))
    },
    delay(name: string, time: Duration): void {
      if (options.clock === undefined)
        throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', 'fakeDns needs a clock to answer late')
      delays.set(nameKey(name), milliseconds(time))
    },
    assertQuiet(): void {
      if (unexpected.length === 0) return
      const list = unexpected.map(({ name, type }) => `${type} of ${name}`).join(', ')
      throw new MailwrightError('ERR_MAILWRIGHT_UNEXPECTED', `unexpected DNS questions: ${list}`)
    },
  }
}

function nameKey(name: string): string {
  return name.toLowerCase().replace(/\.$/, '')
}

function wildcard(name: string, entries: ReadonlyMap<string, ZoneEntry>): ZoneEntry | undefined {
  for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) {
    const entry = entries.get(`*${name.slice(dot)}`)
    if (entry !== undefined) return entry
  }
  return undefined
}

function recordsOf<T extends RecordType>(entry: ZoneRecords, type: T): readonly RecordTypes[T][] {
  const found: { readonly [K in RecordType]: () => readonly RecordTypes[K][] } = {
    A: () => entry.A ?? [],
    AAAA: () => entry.AAAA ?? [],
    MX: () => (entry.MX ?? []).map(([preference, exchange]) => ({ preference, exchange: nameKey(exchange) })),
    TXT: () => (entry.TXT ?? []).map((record) => (typeof record === 'string' ? [record] : record)),
    PTR: () => entry.PTR ?? [],
    CNAME: () => entry.CNAME ?? [],
    NS: () => entry.NS ?? [],
    TLSA: () => entry.TLSA ?? [],
  }
  return found[type]()
}
