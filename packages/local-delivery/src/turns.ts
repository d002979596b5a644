/** Whoever wants the same thing has it one after the other, in the order they came. */

/** Does work when everybody who came before with the same key has finished, however that went. */
export type Turns = <T>(key: string, work: () => Promise<T>) => Promise<T>

/**
 * @example
 * const inTurn = turns()
 * await inTurn('/var/mail/ann', () => append(message))
 */
export function turns(): Turns {
  const last = new Map<string, Promise<unknown>>()
  return async (key, work) => {
    const before = last.get(key)
    const mine = before === undefined ? work() : before.then(work, work)
    last.set(key, mine)
    try {
      return await mine
    } finally {
      if (last.get(key) === mine) last.delete(key)
    }
  }
}
