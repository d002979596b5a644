/**
 * A table of names as a resolver: for tests, for closed networks, and before another resolver as /etc/hosts stands
 * before DNS. Follows CNAME within the table. Knows no wildcards and no delegation; never fails by itself.
 */
import {
  type Awaitable,
  type Call,
  type DnsAnswer,
  type Duration,
  milliseconds,
  type RecordType,
  type RecordTypes,
  type Resolver,
} from '@mailwright/core'

/** What the table knows of one name. */
export type NameRecords = { readonly [T in RecordType]?: readonly RecordTypes[T][] }

/** Names (any case, no final dot) and their records. */
export type Zones = Readonly<Record<string, NameRecords>>

export interface StaticResolverOptions {
  /** The TTL of every answer. `'5m'`. */
  readonly ttl?: Duration
  /** Whether answers count as validated by DNSSEC. They do not when not given. */
  readonly secure?: boolean
  /** Who is asked for names that are not in the table. Without it there are no other names. */
  readonly otherwise?: Resolver
}

/** Most CNAMEs followed from one name. */
const CHAIN_LIMIT = 8

/**
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for a ttl that is none.
 * @example
 * staticResolver({
 *   'example.org': { MX: [{ preference: 10, exchange: 'mx.example.org' }] },
 *   'mx.example.org': { A: ['192.0.2.1'] },
 * })
 */
export function staticResolver(zones: Zones, options: StaticResolverOptions = {}): Resolver {
  const ttlMs = milliseconds(options.ttl ?? '5m')
  const { secure = false, otherwise } = options
  const table = new Map(Object.entries(zones).map(([name, records]) => [name.toLowerCase(), records]))

  function resolve<T extends RecordType>(name: string, type: T, call: Call): Awaitable<DnsAnswer<RecordTypes[T]>> {
    let known = name.toLowerCase()
    for (let links = 0; links <= CHAIN_LIMIT; links++) {
      const here = table.get(known)
      if (here === undefined) {
        if (isAbove(known)) return { status: 'none', reason: 'no-data', ttlMs, secure }
        return otherwise?.resolve(known, type, call) ?? { status: 'none', reason: 'no-name', ttlMs, secure }
      }
      const records = here[type] as readonly RecordTypes[T][] | undefined
      if (records !== undefined && records.length > 0) return { status: 'found', records, ttlMs, secure }
      const alias = here.CNAME?.[0]
      if (alias === undefined) return { status: 'none', reason: 'no-data', ttlMs, secure }
      known = alias.toLowerCase()
    }
    return { status: 'failed', cause: `a chain of more than ${CHAIN_LIMIT} CNAMEs at ${name}` }
  }

  /** A name without records of its own exists when there is one below it (RFC 8020). */
  function isAbove(name: string): boolean {
    for (const known of table.keys()) if (known.endsWith(`.${name}`)) return true
    return false
  }

  return { resolve }
}
