/** Apache's `$apr1$`, the salted MD5 that `htpasswd` made by default for twenty years. A thousand rounds: cheap, and weak. */
import { createHash } from 'node:crypto'
import { group64 } from './sha-crypt.ts'

const ROUNDS = 1_000

/** Hashes the password with the salt of `like`: the same text again if it is the right one. */
export function apacheMd5(password: string, like: string): string {
  const salt = Buffer.from(/^\$apr1\$([^$]{0,8})/.exec(like)![1]!)
  const key = Buffer.from(password)
  const inner = md5(key, salt, key)
  const mix: Uint8Array[] = [key, Buffer.from('$apr1$'), salt]
  for (let left = key.length; left > 0; left -= 16) mix.push(inner.subarray(0, Math.min(16, left)))
  for (let bits = key.length; bits > 0; bits >>= 1) mix.push(bits & 1 ? Buffer.alloc(1) : key.subarray(0, 1))
  let sum = md5(...mix)
  for (let round = 0; round < ROUNDS; round++) {
    const parts: Uint8Array[] = [round & 1 ? key : sum]
    if (round % 3 !== 0) parts.push(salt)
    if (round % 7 !== 0) parts.push(key)
    parts.push(round & 1 ? sum : key)
    sum = md5(...parts)
  }
  let text = ''
  for (const [a, b, c] of [
    [0, 6, 12],
    [1, 7, 13],
    [2, 8, 14],
    [3, 9, 15],
    [4, 10, 5],
  ] as const) {
    text += group64((sum[a]! << 16) | (sum[b]! << 8) | sum[c]!, 4)
  }
  return `$apr1$${salt.toString()}$${text}${group64(sum[11]!, 2)}`
}

function md5(...parts: readonly Uint8Array[]): Buffer {
  const sum = createHash('md5')
  for (const part of parts) sum.update(part)
  return sum.digest()
}
