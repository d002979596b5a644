/**
 * What `passwordFile` and `userTable` share: a password against what is stored, an unknown user against what is stored
 * for somebody else, so that both take the same time. Slow hashes have a bound.
 */
import { type Call, throwIfAborted } from '@mailwright/core'
import type { StoredSecret } from './credentials.ts'
import { matches } from './password-hash.ts'
import { type PasswordHash, parseSecret } from './stored-secret.ts'
import { type WorkLimit, workLimit } from './work-limit.ts'

export interface HashLimits {
  /** How many slow hashes are computed at once. Default 2: Node's thread pool has four threads for everything. */
  readonly atOnce?: number | undefined
  /** How many passwords may wait for that; beyond, clients are answered 454. Default 64. */
  readonly waiting?: number | undefined
}

/** bcrypt of cost 10, of a password that was thrown away: the work for unknown users where nothing better is known. */
const NOBODY = parseSecret('$2b$10$FnxoHMw7o3EpEcHV4Abqv.hVR0QD4Ec7qnzcSKI/CzMXeFbCL2fQS')!

export interface SecretCheck {
  /** Whether it is the password. `standIn` is what an unknown user's password is compared with. */
  check(
    password: string,
    known: PasswordHash | undefined,
    standIn: PasswordHash | undefined,
    call: Call,
  ): Promise<boolean>
}

export function secretCheck({ atOnce = 2, waiting = 64 }: HashLimits): SecretCheck {
  const limit: WorkLimit = workLimit(atOnce, waiting)
  return {
    async check(password, known, standIn, call): Promise<boolean> {
      const right = await limit.run(() => {
        // A client that left while it waited is not worked for.
        throwIfAborted(call)
        return matches(password, known ?? standIn ?? NOBODY)
      })
      return right && known !== undefined
    },
  }
}

/** What SCRAM and CRAM-MD5 can use of a stored hash. */
export function asStored(text: string, hash: PasswordHash): StoredSecret {
  if (hash.scheme === 'plain') return { kind: 'plain', password: hash.password }
  if (hash.scheme === 'scram-sha-256') return { kind: 'scram-sha-256', ...hash.keys }
  return { kind: 'hash', text }
}
