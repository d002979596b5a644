/**
 * Users with passwords, for PLAIN (RFC 4616) over TLS. Passwords are kept as scrypt hashes; an unknown user takes as long
 * as a wrong password, and looks the same.
 */
import { scrypt, timingSafeEqual } from 'node:crypto'
import type { AuthenticationStep, Authenticator } from 'mailwright'

/** Salt and hash of a password, both as made by `node:crypto`. */
export interface StoredPassword {
  readonly salt: Uint8Array
  readonly hash: Uint8Array
}

const HASH_LENGTH = 32
const NOBODY: StoredPassword = { salt: new Uint8Array(16), hash: new Uint8Array(HASH_LENGTH) }

/** What to keep of a password. `salt`: 16 random bytes, new for each. */
export async function storedPassword(password: string, salt: Uint8Array): Promise<StoredPassword> {
  return { salt, hash: await hashOf(password, salt) }
}

/** An authenticator for these users, by name. */
export function usersWithPasswords(users: ReadonlyMap<string, StoredPassword>): Authenticator {
  async function check(response: Uint8Array): Promise<AuthenticationStep> {
    const [identity, user, password, ...more] = Buffer.from(response).toString().split('\0')
    if (!user || !password || more.length > 0 || (identity !== '' && identity !== user))
      return { kind: 'failure', reason: 'not a PLAIN response' }
    const { salt, hash } = users.get(user) ?? NOBODY
    const right = timingSafeEqual(await hashOf(password, salt), hash) && users.has(user)
    return right ? { kind: 'success', user } : { kind: 'failure', reason: 'wrong user or password', user }
  }
  return {
    name: 'users',
    mechanisms: ({ tls }) => (tls === undefined ? [] : ['PLAIN']),
    begin: () => ({
      step: async (response) =>
        response === undefined ? { kind: 'challenge', data: new Uint8Array() } : await check(response),
      cancel: () => {},
    }),
  }
}

function hashOf(password: string, salt: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    scrypt(password, salt, HASH_LENGTH, (error, hash) => (error === null ? resolve(hash) : reject(error)))
  })
}
