/** Addresses that are not to be written to any more: they bounced, complained, or asked for it. */
import type { Awaitable } from './call.ts'
import type { Mailbox } from './mailbox.ts'

export interface Suppression {
  readonly address: Mailbox
  readonly cause: 'bounce' | 'complaint' | 'unsubscribe' | 'operator'
  /** For people: the answer that caused it, or who asked. */
  readonly reason: string
  /** ms since the epoch. */
  readonly since: number
  /** When it ends by itself, ms since the epoch. */
  readonly until?: number | undefined
}

export interface SuppressionList {
  /** The suppression in force at `now`, or undefined. Addresses are compared as `mailboxKey` does. */
  find(address: Mailbox, now: number): Awaitable<Suppression | undefined>
  /** Durable when it resolves; one of the same address is replaced. */
  add(suppression: Suppression): Promise<void>
  /** Resolves with whether there was one. */
  remove(address: Mailbox): Promise<boolean>
  /** In order of address; `after` continues a listing. */
  list(query: { readonly limit: number; readonly after?: Mailbox | undefined }): Promise<readonly Suppression[]>
}
