/**
 * DNS by the system's configured servers (c-ares). Node tells no TTL but for addresses and no DNSSEC status: other
 * records are given five minutes, and nothing is `secure`. For a cache and for DNSSEC see `@mailwright/dns`.
 */
import dns from 'node:dns'
import type { Call, DnsAnswer, RecordType, RecordTypes, Resolver } from '@mailwright/core'

const DEFAULT_TTL_MS = 300_000
const NO_ANSWER: Readonly<Record<string, 'no-data' | 'no-name'>> = { ENODATA: 'no-data', ENOTFOUND: 'no-name' }

type Lookup<T> = (resolver: dns.promises.Resolver, name: string) => Promise<{ records: readonly T[]; ttlMs?: number }>
type Lookups = { readonly [T in RecordType]: Lookup<RecordTypes[T]> }

const withoutDot = (name: string): string => (name.endsWith('.') ? name.slice(0, -1) : name).toLowerCase()

function addresses(found: readonly dns.RecordWithTtl[]): { records: string[]; ttlMs: number } {
  return { records: found.map((each) => each.address), ttlMs: Math.min(...found.map((each) => each.ttl)) * 1_000 }
}

const LOOKUPS: Lookups = {
  A: async (resolver, name) => addresses(await resolver.resolve4(name, { ttl: true })),
  AAAA: async (resolver, name) => addresses(await resolver.resolve6(name, { ttl: true })),
  MX: async (resolver, name) => ({
    records: (await resolver.resolveMx(name)).map((mx) => ({
      preference: mx.priority,
      exchange: withoutDot(mx.exchange),
    })),
  }),
  TXT: async (resolver, name) => ({ records: await resolver.resolveTxt(name) }),
  PTR: async (resolver, name) => ({ records: (await resolver.resolvePtr(name)).map(withoutDot) }),
  CNAME: async (resolver, name) => ({ records: (await resolver.resolveCname(name)).map(withoutDot) }),
  NS: async (resolver, name) => ({ records: (await resolver.resolveNs(name)).map(withoutDot) }),
  TLSA: async (resolver, name) => ({
    records: (await resolver.resolveTlsa(name)).map((record) => ({
      usage: record.certUsage,
      selector: record.selector,
      matching: record.match,
      data: new Uint8Array(record.data),
    })),
  }),
}

/** The system's resolver. Each look-up ends within 15 s. */
export function systemResolver(): Resolver {
  const shared = new dns.promises.Resolver({ timeout: 3_000, tries: 3 })
  return {
    async resolve<T extends RecordType>(name: string, type: T, call: Call): Promise<DnsAnswer<RecordTypes[T]>> {
      call.signal.throwIfAborted()
      const local = type === 'A' ? '127.0.0.1' : type === 'AAAA' ? '::1' : undefined
      if (local !== undefined && /^(?:.+\.)?localhost$/.test(name)) {
        // RFC 6761 §6.3: answered here, never asked.
        return { status: 'found', records: [local as RecordTypes[T]], ttlMs: DEFAULT_TTL_MS, secure: false }
      }
      try {
        const lookup = LOOKUPS[type] as Lookup<RecordTypes[T]>
        const { records, ttlMs = DEFAULT_TTL_MS } = await lookup(shared, name)
        if (records.length === 0) return { status: 'none', reason: 'no-data', ttlMs, secure: false }
        return { status: 'found', records, ttlMs, secure: false }
      } catch (error) {
        call.signal.throwIfAborted()
        const code = (error as NodeJS.ErrnoException).code ?? 'unknown'
        const reason = NO_ANSWER[code]
        if (reason !== undefined) return { status: 'none', reason, ttlMs: DEFAULT_TTL_MS, secure: false }
        return { status: 'failed', cause: code }
      }
    },
  }
}
