/** A bound on slow work: some at once, some waiting, and a clear no beyond that. */
import { MailwrightError, reply } from '@mailwright/core'

export interface WorkLimit {
  /** Does the work when a place is free. Rejects at once when too many wait, with a 454 for the client. */
  run<T>(work: () => Promise<T>): Promise<T>
}

/** @param atOnce how many run; @param waiting how many may wait. */
export function workLimit(atOnce: number, waiting: number): WorkLimit {
  const queue: (() => void)[] = []
  let running = 0

  async function run<T>(work: () => Promise<T>): Promise<T> {
    if (running >= atOnce) {
      if (queue.length >= waiting) {
        throw new MailwrightError('ERR_MAILWRIGHT_LIMIT', 'too many passwords are being checked', {
          reply: reply(454, '4.7.0', 'Temporary authentication failure'),
        })
      }
      // Whoever leaves hands its place over, so `running` stays as it is.
      await new Promise<void>((resolve) => queue.push(resolve))
    } else running++
    try {
      return await work()
    } finally {
      const next = queue.shift()
      if (next === undefined) running--
      else next()
    }
  }
  return { run }
}
