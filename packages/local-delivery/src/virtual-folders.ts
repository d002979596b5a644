/**
 * Where virtual mailboxes live: a folder for each address below one root, as hosts of many domains have it. What could be
 * more than a name in a path (a slash, a dot in front, an upper-case letter, anything beyond letters, digits, `.`, `_` and `-`) is
 * written as `%xx`, so that two addresses never share a folder and none leads out of the root.
 */
import { join } from 'node:path'
import type { Awaitable, Call, Mailbox } from '@mailwright/core'
import { checkPath, type MailboxLookup } from './mailboxes.ts'

export interface VirtualFolders {
  /** The absolute path of the folder that holds all of them. */
  readonly root: string
  /** Whether there is such a mailbox: a query of the host's user table. One that fails throws, and mail is tried again. */
  readonly exists: (address: Mailbox, call: Call) => Awaitable<boolean>
  /** `domain/user` (default); or with one more level, the first letter of the user, for very many: `domain/u/user`. */
  readonly layout?: 'domain/user' | 'domain/u/user'
  /** A folder within, as Dovecot's `mail_location = maildir:~/Maildir` has it. Default: none. */
  readonly within?: string
}

/** Names of a file system are at most so long, in octets. */
const LONGEST_NAME = 255

/**
 * A look-up for `maildir` and `mbox`. Local parts are compared without case, as most sites do.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` when the root is not absolute.
 * @example
 * maildir({ hostname, mailboxes: virtualFolders({ root: '/srv/mail', exists: ({ local, domain }) => users.has(`${local}@${domain}`) }) })
 */
export function virtualFolders({ root, exists, layout, within = '' }: VirtualFolders): MailboxLookup {
  checkPath(root)
  return async (address, call) => {
    const domain = folderName(address.domain)
    const user = folderName(address.local)
    if (domain === undefined || user === undefined || !(await exists(address, call))) return undefined
    // An encoded character is three characters, none of which is a name of its own.
    const level = layout === 'domain/u/user' ? [user.startsWith('%') ? '_' : user[0]!] : []
    return join(root, domain, ...level, user, within)
  }
}

/** A name for one part of an address; undefined where it would be too long. */
function folderName(text: string): string | undefined {
  const bytes = Buffer.from(text.toLowerCase(), 'utf8')
  let name = ''
  for (const [index, byte] of bytes.entries()) {
    const character = String.fromCharCode(byte)
    const plain = /[a-z0-9_-]/.test(character) || (character === '.' && index > 0)
    name += plain ? character : `%${byte.toString(16).padStart(2, '0')}`
  }
  return name !== '' && name.length <= LONGEST_NAME ? name : undefined
}
