/**
 * Tables: where the router finds what an address or a domain stands for. Keys are lower case. A table that cannot answer
 * throws; "not found" is undefined and nothing else.
 */
import type { Awaitable, Call, Mailbox } from '@mailwright/core'
import type { Steps } from './steps.ts'

/** A table behind a key: a file, a database, a cache. */
export interface Table {
  /** The value of a lower-case key, or undefined when there is none. Throws when it cannot be found out. */
  get(key: string, call: Call): Awaitable<string | undefined>
}

/**
 * What an option takes as a table. Objects, Maps and Sets are copied; in a Set, being there is the value. A function is
 * given the whole address, and once more without its extension if that found nothing.
 */
export type Lookup = StaticLookup | LookupFunction | Table

export type StaticLookup =
  | Readonly<Record<string, string | readonly string[]>>
  | ReadonlyMap<string, string>
  | ReadonlySet<string>

export type LookupFunction = (address: Mailbox, call: Call) => Awaitable<string | undefined>

/** What a table says, and under which key it was found. */
export interface Hit {
  readonly key: string
  readonly value: string
}

export type Finder = (keys: readonly string[], address: Mailbox, base: Mailbox, call: Call) => Steps<Hit | undefined>

/** A lookup in the one form the router uses: keys are tried in order. `base` is the address without its extension. */
export function finder(lookup: Lookup): Finder {
  if (typeof lookup === 'function') {
    return function* findByAddress(_keys, address, base, call) {
      const value = (yield lookup(address, call)) as string | undefined
      if (value !== undefined) return { key: formatKey(address), value }
      if (base === address) return undefined
      const found = (yield lookup(base, call)) as string | undefined
      return found === undefined ? undefined : { key: formatKey(base), value: found }
    }
  }
  const table = isTable(lookup) ? lookup : inMemory(lookup)
  return function* findByKey(keys, _address, _base, call) {
    for (const key of keys) {
      const value = (yield table.get(key, call)) as string | undefined
      if (value !== undefined) return { key, value }
    }
    return undefined
  }
}

function isTable(lookup: StaticLookup | Table): lookup is Table {
  return !(lookup instanceof Map) && 'get' in lookup && typeof lookup.get === 'function'
}

function inMemory(lookup: StaticLookup): Table {
  const entries = new Map<string, string>()
  if (lookup instanceof Set) for (const key of lookup) entries.set(key.toLowerCase(), 'OK')
  else {
    const pairs = lookup instanceof Map ? lookup : Object.entries(lookup)
    for (const [key, value] of pairs)
      entries.set(key.toLowerCase(), typeof value === 'string' ? value : value.join(', '))
  }
  return { get: (key: string) => entries.get(key) }
}

function formatKey(address: Mailbox): string {
  return `${address.local.toLowerCase()}@${address.domain}`
}
