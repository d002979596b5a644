export * from './caching-resolver.ts'
export type { Exchange, NameServer } from './name-server.ts'
export * from './static-resolver.ts'
export * from './stub-resolver.ts'
