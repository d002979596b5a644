/** Our resolver in the form mailauth asks for: `dns.promises.resolve`'s records and error codes. */
import type { Call, RecordType, Resolver } from '@mailwright/core'

/** As mailauth calls it. */
export type MailauthResolver = (name: string, type: string) => Promise<unknown[]>

/** The codes by which mailauth tells "there is none" from "nobody knows". */
const CODES = { 'no-name': 'ENOTFOUND', 'no-data': 'ENODATA' } as const

/**
 * @example
 * await spf({ …, resolver: mailauthResolver(environment.dns, call) })
 */
export function mailauthResolver(dns: Resolver, call: Call): MailauthResolver {
  return async (name, type) => {
    const answer = await dns.resolve(name.toLowerCase().replace(/\.$/, ''), type as RecordType, call)
    if (answer.status === 'found') return answer.records.map((record) => inTheirForm(record))
    const code = answer.status === 'none' ? CODES[answer.reason] : 'ESERVFAIL'
    throw Object.assign(new Error(`${code} ${type} ${name}`), { code })
  }
}

/** Node calls an MX's preference its priority. */
function inTheirForm(record: unknown): unknown {
  if (typeof record !== 'object' || record === null || !('exchange' in record)) return record
  const { preference, exchange } = record as { preference: number; exchange: string }
  return { priority: preference, exchange }
}
