export * from './memory-store.ts'
export * from './message-queue.ts'
export * from './retry.ts'
export * from './scheduler.ts'
