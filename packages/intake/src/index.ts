export * from './mail-intake.ts'
