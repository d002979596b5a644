/** DNS as mail needs it: answers that tell "no such name" from "could not find out". */
import type { Awaitable, Call } from './call.ts'

export interface RecordTypes {
  readonly A: string
  readonly AAAA: string
  readonly MX: MxRecord
  readonly TXT: readonly string[]
  readonly PTR: string
  readonly CNAME: string
  readonly NS: string
  readonly TLSA: TlsaRecord
}

export interface MxRecord {
  readonly preference: number
  /** Lower case, without final dot; empty for the null MX (RFC 7505). */
  readonly exchange: string
}

export interface TlsaRecord {
  readonly usage: number
  readonly selector: number
  readonly matching: number
  readonly data: Uint8Array
}

export type RecordType = keyof RecordTypes

export type DnsAnswer<T> =
  /** At least one record. `ttlMs` is how long it may be kept. `secure`: validated by DNSSEC. */
  | { readonly status: 'found'; readonly records: readonly T[]; readonly ttlMs: number; readonly secure: boolean }
  /** The name exists without such records, or does not exist. Both are answers, not failures. */
  | {
      readonly status: 'none'
      readonly reason: 'no-data' | 'no-name'
      readonly ttlMs: number
      readonly secure: boolean
    }
  /** Time-out, SERVFAIL, broken answer: nothing is known. */
  | { readonly status: 'failed'; readonly cause: string }

export interface Resolver {
  /** Looks a name up (A-labels, no final dot). Failure is a value; rejects only when the signal aborts. */
  resolve<T extends RecordType>(name: string, type: T, call: Call): Awaitable<DnsAnswer<RecordTypes[T]>>
}
