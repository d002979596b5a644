export * from './caching-resolver.ts'
export * from './static-resolver.ts'
