export * from './mta-sts.ts'
