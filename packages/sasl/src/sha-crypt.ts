/**
 * SHA-256 and SHA-512 crypt: `$5$` and `$6$` (Drepper, "Unix crypt using SHA-256 and SHA-512", 2008). Ours, because the
 * packages there are compute thousands of rounds in one go on the main thread; this one lets others run every millisecond.
 */
import { createHash } from 'node:crypto'
import { setImmediate as otherWork } from 'node:timers/promises'

const ALPHABET = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const DEFAULT_ROUNDS = 5_000
/** Rounds at a stretch: about a millisecond. */
const SLICE = 256

/** Hashes the password with the salt and rounds of `like`: the same text again if it is the right one. */
export async function shaCrypt(digest: 'sha256' | 'sha512', password: string, like: string): Promise<string> {
  const [, prefix, rounds, salt] = /^(\$[56]\$(?:rounds=(\d+)\$)?)([^$]{0,16})/.exec(like)!
  const count = rounds === undefined ? DEFAULT_ROUNDS : Math.min(Math.max(Number(rounds), 1_000), 999_999_999)
  const sum = await rounded(digest, Buffer.from(password), Buffer.from(salt!), count)
  return `${prefix}${salt}$${encoded(sum)}`
}

async function rounded(digest: 'sha256' | 'sha512', key: Buffer, salt: Buffer, rounds: number): Promise<Buffer> {
  const hash = (...parts: readonly Uint8Array[]): Buffer => {
    const sum = createHash(digest)
    for (const part of parts) sum.update(part)
    return sum.digest()
  }
  const alternate = hash(key, salt, key)
  const mix: Buffer[] = [key, salt, repeated(alternate, key.length)]
  for (let bits = key.length; bits > 0; bits >>= 1) mix.push(bits & 1 ? alternate : key)
  let sum = hash(...mix)
  const keys = repeated(hash(...Array<Buffer>(key.length).fill(key)), key.length)
  const salts = repeated(hash(...Array<Buffer>(16 + sum[0]!).fill(salt)), salt.length)
  for (let round = 0; round < rounds; round++) {
    if (round % SLICE === SLICE - 1) await otherWork()
    const parts: Buffer[] = [round & 1 ? keys : sum]
    if (round % 3 !== 0) parts.push(salts)
    if (round % 7 !== 0) parts.push(keys)
    parts.push(round & 1 ? sum : keys)
    sum = hash(...parts)
  }
  return sum
}

/** The bytes again and again, up to a length. */
function repeated(bytes: Buffer, length: number): Buffer {
  return Buffer.alloc(length, length === 0 ? 0 : bytes)
}

/** Crypt's own base64, over the bytes in crypt's own order. */
function encoded(sum: Buffer): string {
  const third = Math.floor(sum.length / 3)
  let text = ''
  // The three columns of the sum, turned by one place from each group to the next: backwards for SHA-256.
  let columns: readonly [number, number, number] = [0, third, 2 * third]
  for (let group = 0; group < third; group++) {
    const [a, b, c] = columns
    text += group64((sum[a]! << 16) | (sum[b]! << 8) | sum[c]!, 4)
    columns = sum.length === 64 ? [b + 1, c + 1, a + 1] : [c + 1, a + 1, b + 1]
  }
  return text + (sum.length === 64 ? group64(sum[63]!, 2) : group64((sum[31]! << 8) | sum[30]!, 3))
}

/** `count` letters for a number, the lowest six bits first. */
export function group64(value: number, count: number): string {
  let text = ''
  for (let left = value; text.length < count; left >>>= 6) text += ALPHABET[left & 63]
  return text
}
