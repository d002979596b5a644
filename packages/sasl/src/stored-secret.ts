/**
 * What a users' table holds for a password, as text: `{SCHEME}…` as `doveadm pw` prints it, or a bare hash as `htpasswd`
 * does. Reading it here once tells a broken line from a usable one; costs beyond reason are refused, because whoever
 * checks a password pays them.
 */
import type { ScramKeys } from './credentials.ts'

/** A stored password, ready to be checked. */
export type PasswordHash =
  | { readonly scheme: 'bcrypt' | 'argon2'; readonly text: string }
  | { readonly scheme: 'sha-crypt'; readonly digest: 'sha256' | 'sha512'; readonly text: string }
  | { readonly scheme: 'apr1'; readonly text: string }
  | { readonly scheme: 'pbkdf2'; readonly salt: string; readonly rounds: number; readonly key: Uint8Array }
  | { readonly scheme: 'digest'; readonly digest: string; readonly sum: Uint8Array; readonly salt: Uint8Array }
  | { readonly scheme: 'scram-sha-256'; readonly keys: ScramKeys }
  | { readonly scheme: 'plain'; readonly password: string }

const MAX_TEXT = 1_024
const MAX_BCRYPT_COST = 16
const MAX_ROUNDS = 5_000_000
const MAX_ARGON2_KIB = 1_048_576
const MAX_ARGON2_PASSES = 64
const DIGEST_BYTES: Readonly<Record<string, number>> = { sha1: 20, sha256: 32, sha512: 64 }

/**
 * Reads one.
 *
 * @returns undefined for what is no secret we know: a broken line, an unknown scheme, a cost beyond reason.
 * @example
 * parseSecret('{BLF-CRYPT}$2y$10$…')
 */
export function parseSecret(text: string): PasswordHash | undefined {
  if (text.length > MAX_TEXT || /[\0\r\n]/.test(text)) return undefined
  const [, scheme, rest] = /^\{([A-Za-z0-9.-]+)\}(.*)$/s.exec(text) ?? []
  if (scheme === undefined) return crypt(text)
  switch (scheme.toUpperCase()) {
    case 'PLAIN':
    case 'CLEAR':
    case 'CLEARTEXT':
      return rest === '' ? undefined : { scheme: 'plain', password: rest! }
    case 'BLF-CRYPT':
    case 'SHA256-CRYPT':
    case 'SHA512-CRYPT':
    case 'ARGON2I':
    case 'ARGON2ID':
    case 'CRYPT':
      return crypt(rest!)
    case 'PBKDF2':
      return pbkdf2(rest!)
    case 'SCRAM-SHA-256':
      return scramKeys(rest!)
    case 'SHA':
    case 'SHA1':
      return digest('sha1', rest!, 'bare')
    case 'SHA256':
    case 'SHA512':
      return digest(scheme.toLowerCase(), rest!, 'bare')
    case 'SSHA':
      return digest('sha1', rest!, 'salted')
    case 'SSHA256':
    case 'SSHA512':
      return digest(scheme.slice(1).toLowerCase(), rest!, 'salted')
    default:
      return undefined
  }
}

/** What crypt(3) tells apart by its `$id$`. */
function crypt(text: string): PasswordHash | undefined {
  const bcrypt = /^\$2[abxy]\$(\d\d)\$[./A-Za-z0-9]{53}$/.exec(text)
  if (bcrypt !== null) {
    const cost = Number(bcrypt[1])
    return cost >= 4 && cost <= MAX_BCRYPT_COST ? { scheme: 'bcrypt', text } : undefined
  }
  const sha = /^\$([56])\$(?:rounds=(\d{4,9})\$)?[^$:]{0,16}\$([./A-Za-z0-9]{43}|[./A-Za-z0-9]{86})$/.exec(text)
  if (sha !== null) {
    const kind = sha[1] === '5' ? 'sha256' : 'sha512'
    if (sha[3]!.length !== (kind === 'sha256' ? 43 : 86) || Number(sha[2] ?? 0) > MAX_ROUNDS) return undefined
    return { scheme: 'sha-crypt', digest: kind, text }
  }
  const argon2 = /^\$argon2id?\$v=19\$m=(\d{1,8}),t=(\d{1,3}),p=(\d{1,2})\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+$/.exec(text)
  if (argon2 !== null) {
    const fits = Number(argon2[1]) <= MAX_ARGON2_KIB && Number(argon2[2]) <= MAX_ARGON2_PASSES
    return fits ? { scheme: 'argon2', text } : undefined
  }
  return /^\$apr1\$[^$:]{0,8}\$[./A-Za-z0-9]{22}$/.test(text) ? { scheme: 'apr1', text } : undefined
}

/** Dovecot's own form: `$1$salt$rounds$hex`, HMAC-SHA-1. */
function pbkdf2(text: string): PasswordHash | undefined {
  const [, salt, rounds, hex] = /^\$1\$([^$]{1,64})\$(\d{1,7})\$([0-9a-f]{40})$/i.exec(text) ?? []
  if (salt === undefined || Number(rounds) < 1 || Number(rounds) > MAX_ROUNDS) return undefined
  return { scheme: 'pbkdf2', salt, rounds: Number(rounds), key: Buffer.from(hex!, 'hex') }
}

/** `iterations,salt,StoredKey,ServerKey`, the last three in base64. */
function scramKeys(text: string): PasswordHash | undefined {
  const [, iterations, salt, stored, server] =
    /^(\d{1,7}),([A-Za-z0-9+/]{4,128}={0,2}),([A-Za-z0-9+/]{43}=),([A-Za-z0-9+/]{43}=)$/.exec(text) ?? []
  if (iterations === undefined || Number(iterations) < 1 || Number(iterations) > MAX_ROUNDS) return undefined
  const [salted, storedKey, serverKey] = [salt, stored, server].map((part) => Buffer.from(part!, 'base64'))
  const keys = { iterations: Number(iterations), salt: salted!, storedKey: storedKey!, serverKey: serverKey! }
  return { scheme: 'scram-sha-256', keys }
}

function digest(name: string, text: string, form: 'bare' | 'salted'): PasswordHash | undefined {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return undefined
  const bytes = Buffer.from(text, 'base64')
  const length = DIGEST_BYTES[name]!
  if (form === 'bare' ? bytes.length !== length : bytes.length <= length) return undefined
  return { scheme: 'digest', digest: name, sum: bytes.subarray(0, length), salt: bytes.subarray(length) }
}
