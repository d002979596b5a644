/**
 * Users in the host's own table: SQL, a directory, whatever answers a name with a hash. Nothing is kept; the host caches
 * if it wants to.
 */
import { type Awaitable, MailwrightError } from '@mailwright/core'
import type { BackEndCall, Credentials, StoredSecret } from './credentials.ts'
import { asStored, type HashLimits, secretCheck } from './secret-check.ts'
import { type PasswordHash, parseSecret } from './stored-secret.ts'

/** The stored hash of a user, in any form `passwordFile` reads; undefined or null for an unknown user. May reject: 454. */
export type UserLookup = (user: string, call: BackEndCall) => Awaitable<string | null | undefined>

export interface UserTableOptions extends HashLimits {
  /** Names it in events. Default `user-table`. */
  readonly name?: string | undefined
  /** A hash like those in the table: what an unknown user is compared with. Default: the last one seen. */
  readonly typical?: string | undefined
}

/**
 * A users' table behind a function.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` when `typical` is no hash.
 * @example
 * userTable(async (user) => (await db.query('select hash from users where name = $1', [user])).rows[0]?.hash)
 */
export function userTable(lookup: UserLookup, options: UserTableOptions = {}): Credentials {
  const secrets = secretCheck(options)
  let typical = options.typical === undefined ? undefined : parseSecret(options.typical)
  if (options.typical !== undefined && typical === undefined) {
    throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', 'userTable: `typical` is no hash of a known scheme')
  }

  async function found(user: string, call: BackEndCall): Promise<{ text: string; hash: PasswordHash } | undefined> {
    const text = await lookup(user, call)
    if (text === undefined || text === null) return undefined
    const hash = parseSecret(text)
    if (hash === undefined) {
      // Neither a wrong password nor a right one: the operator has to look.
      throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', 'a stored password is broken, or of no known scheme')
    }
    if (options.typical === undefined) typical = hash
    return { text, hash }
  }

  return {
    name: options.name ?? 'user-table',
    async verify(user: string, password: string, call: BackEndCall): Promise<boolean> {
      return secrets.check(password, (await found(user, call))?.hash, typical, call)
    },
    async stored(user: string, call: BackEndCall): Promise<StoredSecret | undefined> {
      const entry = await found(user, call)
      return entry === undefined ? undefined : asStored(entry.text, entry.hash)
    },
  }
}
