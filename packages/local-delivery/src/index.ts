export * from './discard.ts'
export type { Mailboxes, MailboxLookup } from './mailboxes.ts'
export * from './maildir.ts'
