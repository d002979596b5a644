/** Randomness, so that a simulation can be replayed from a seed. */
export interface Random {
  /** At least 0, less than 1. */
  float(): number
  /** Unpredictable bytes in production, seeded ones in tests. */
  bytes(count: number): Uint8Array
}

/** An integer of at least 0 and less than `below`. */
export function randomInt(random: Random, below: number): number {
  return Math.floor(random.float() * below)
}
