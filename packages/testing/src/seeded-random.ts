/** Randomness that repeats: the same seed gives the same simulation. Not for secrets. */
import type { Random } from '@mailwright/core'

export interface SeededRandom extends Random {
  readonly seed: number
  /** A new, independent stream that depends only on this one's seed and the label: parts do not disturb each other. */
  fork(label: string): SeededRandom
}

/**
 * A stream of randomness from a seed: xoshiro128** (Blackman and Vigna), seeded by a multiply-and-shift mixer.
 *
 * @example
 * const random = seededRandom(42)
 * random.float() // the same on every machine
 */
export function seededRandom(seed: number): SeededRandom {
  const state = new Uint32Array(4)
  let mixer = seed >>> 0
  for (let index = 0; index < 4; index++) {
    mixer = (mixer + 0x9e3779b9) >>> 0
    state[index] = mixed(mixer)
  }
  function word(): number {
    const s1 = state[1]!
    const result = Math.imul(rotated(Math.imul(s1, 5), 7), 9) >>> 0
    state[2]! ^= state[0]!
    state[3]! ^= s1
    state[1]! ^= state[2]!
    state[0]! ^= state[3]!
    state[2]! ^= s1 << 9
    state[3] = rotated(state[3]!, 11)
    return result
  }
  return {
    seed,
    // 53 bits, as many as a double holds below 1.
    float: (): number => ((word() >>> 5) * 2 ** 26 + (word() >>> 6)) / 2 ** 53,
    bytes(count: number): Uint8Array {
      const bytes = new Uint8Array(count)
      for (let index = 0; index < count; index++) bytes[index] = word() >>> 24
      return bytes
    },
    fork(label: string): SeededRandom {
      let hash = seed >>> 0
      for (let index = 0; index < label.length; index++) hash = mixed((hash ^ label.charCodeAt(index)) >>> 0)
      return seededRandom(hash)
    },
  }
}

function rotated(value: number, bits: number): number {
  return ((value << bits) | (value >>> (32 - bits))) >>> 0
}

/** Spreads a small difference between seeds over all bits. */
function mixed(value: number): number {
  let z = value
  z = Math.imul(z ^ (z >>> 16), 0x85ebca6b)
  z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35)
  return (z ^ (z >>> 16)) >>> 0
}
