/**
 * Names and passwords as text (RFC 4422 §3.4, RFC 4013). UTF-8 that is none is refused, and so is NUL. SASLprep is that of
 * `@mongodb-js/saslprep`, with code points newer than Unicode 3.2 allowed: a stored password may well hold an emoji.
 * Node's own `normalize('NFKC')` would not do, because it neither maps nor prohibits.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import saslprep from '@mongodb-js/saslprep'

/** The longest name of a user, in bytes of UTF-8 (RFC 4616 §2). */
export const MAX_USER = 255
/** The longest password, in bytes of UTF-8. Slow hashes are given nothing longer. */
export const MAX_PASSWORD = 1_024

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const PRINTABLE = /^[\x20-\x7e]*$/

/** The text of UTF-8 bytes; undefined for anything else. */
export function textOf(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}

/** SASLprep; undefined for what it prohibits. */
export function prepared(text: string): string | undefined {
  if (PRINTABLE.test(text)) return text
  try {
    return saslprep(text, { allowUnassigned: true })
  } catch {
    return undefined
  }
}

/** The name of a user as back ends see it; undefined when it is empty, too long, or no name at all. */
export function userName(text: string | undefined): string | undefined {
  if (text === undefined || Buffer.byteLength(text) > MAX_USER) return undefined
  const name = prepared(text)
  return name === undefined || name === '' || Buffer.byteLength(name) > MAX_USER ? undefined : name
}

/**
 * What a password may have been stored as: SASLprepared, and, where that differs, as it was typed, because `doveadm pw` and
 * `htpasswd` prepare nothing. Empty when it is no password.
 */
export function passwordForms(text: string | undefined): readonly string[] {
  if (text === undefined || text === '' || text.includes('\0') || Buffer.byteLength(text) > MAX_PASSWORD) return []
  const form = prepared(text)
  if (form === undefined || form === '' || form === text) return [text]
  return [form, text]
}

/** Whether two secrets are the same, in a time that does not depend on where they differ. */
export function sameSecret(one: string | Uint8Array, other: string | Uint8Array): boolean {
  return timingSafeEqual(createHash('sha256').update(one).digest(), createHash('sha256').update(other).digest())
}
