/**
 * Checking a password against a stored hash. bcrypt, Argon2 and PBKDF2 run in native code off the main thread; SHA-crypt
 * runs here in slices, so that mail goes on meanwhile. Everything is compared in constant time. The native libraries are
 * loaded when the first such hash is checked: whoever has none pays nothing for them.
 */
import { createHash, createHmac, pbkdf2 as deriveKey } from 'node:crypto'
import { promisify } from 'node:util'
import { apacheMd5 } from './apache-md5.ts'
import type { ScramKeys } from './credentials.ts'
import { prepared, sameSecret } from './identity.ts'
import { shaCrypt } from './sha-crypt.ts'
import type { PasswordHash } from './stored-secret.ts'

const pbkdf2 = promisify(deriveKey)

/**
 * Whether the password is the one that was hashed. Rejects when the hash cannot be computed.
 *
 * @example
 * await matches('secret', parseSecret('{SHA512-CRYPT}$6$…')!)
 */
export async function matches(password: string, hash: PasswordHash): Promise<boolean> {
  switch (hash.scheme) {
    case 'bcrypt':
      return (await import('@node-rs/bcrypt')).verify(password, hash.text)
    case 'argon2':
      return (await import('@node-rs/argon2')).verify(hash.text, password)
    case 'sha-crypt':
      return sameSecret(await shaCrypt(hash.digest, password, hash.text), hash.text)
    case 'apr1':
      return sameSecret(apacheMd5(password, hash.text), hash.text)
    case 'pbkdf2':
      return sameSecret(await pbkdf2(password, hash.salt, hash.rounds, hash.key.length, 'sha1'), hash.key)
    case 'digest':
      return sameSecret(createHash(hash.digest).update(password).update(hash.salt).digest(), hash.sum)
    case 'scram-sha-256': {
      const { salt, iterations } = hash.keys
      const { storedKey } = await deriveScramKeys(password, salt, iterations)
      return sameSecret(storedKey, hash.keys.storedKey)
    }
    case 'plain':
      return sameSecret(password, hash.password)
  }
}

/** The keys a SCRAM-SHA-256 server keeps for a password (RFC 5802 §3). */
export async function deriveScramKeys(password: string, salt: Uint8Array, iterations: number): Promise<ScramKeys> {
  const salted = await pbkdf2(prepared(password) ?? password, salt, iterations, 32, 'sha256')
  const clientKey = createHmac('sha256', salted).update('Client Key').digest()
  return {
    iterations,
    salt,
    storedKey: createHash('sha256').update(clientKey).digest(),
    serverKey: createHmac('sha256', salted).update('Server Key').digest(),
  }
}
