export * from './discard-transport.ts'
export type { Mailboxes, MailboxLookup } from './mailboxes.ts'
export * from './maildir.ts'
export * from './pipe.ts'
