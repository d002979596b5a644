/**
 * Which folder belongs to which address. The folder is always the table's own word: no part of an address ever becomes
 * part of a path here, so no address can name a file its owner did not.
 */
import { isAbsolute } from 'node:path'
import { type Awaitable, type Call, type Mailbox, MailwrightError, mailboxKey } from '@mailwright/core'

/**
 * The absolute path of an address's mailbox, or undefined when there is no such mailbox. A look-up that cannot find out
 * throws: the recipient is then tried again, never refused.
 */
export type MailboxLookup = (address: Mailbox, call: Call) => Awaitable<string | undefined>

/**
 * A look-up, or a table of absolute paths by address. Addresses in an object are compared without case; a Map is asked
 * anew each time, so it may change, and its keys are in lower case.
 */
export type Mailboxes = MailboxLookup | ReadonlyMap<string, string> | Readonly<Record<string, string>>

/**
 * The look-up for any form of table.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` when a table holds a path that is not absolute.
 */
export function mailboxLookup(mailboxes: Mailboxes): MailboxLookup {
  if (typeof mailboxes === 'function') return mailboxes
  const table = mailboxes instanceof Map ? (mailboxes as ReadonlyMap<string, string>) : tableOf(mailboxes)
  for (const path of table.values()) checkPath(path)
  return (address) => table.get(mailboxKey(address))
}

function tableOf(mailboxes: object): ReadonlyMap<string, string> {
  return new Map(Object.entries(mailboxes).map(([address, path]) => [address.toLowerCase(), path]))
}

/** @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` when the path depends on the working directory or is no path. */
export function checkPath(path: string): void {
  if (!isAbsolute(path) || path.includes('\0')) {
    throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `not an absolute path: ${JSON.stringify(path)}`)
  }
}
