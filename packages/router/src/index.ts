export * from './fixed-router.ts'
export type { Lookup, LookupFunction, StaticLookup, Table } from './lookup.ts'
export * from './router.ts'
export * from './table-file.ts'
