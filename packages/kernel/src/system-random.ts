import { randomBytes } from 'node:crypto'
import type { Random } from '@mailwright/core'

/** Unpredictable randomness. */
export function systemRandom(): Random {
  return { float: () => Math.random(), bytes: (count) => randomBytes(count) }
}
