export { type LmdbStore, lmdbStore } from './lmdb-store.ts'
export type { LmdbStoreOptions } from './options.ts'
