/**
 * One look-up that several callers wait for. A caller that gives up ends its own wait only; when the last one has gone,
 * the look-up itself is told that nobody waits any more.
 */
import type { Call } from '@mailwright/core'

export interface SharedLookup<T> {
  /** Whether nobody waits any more: the look-up is aborted and must not be joined. */
  readonly abandoned: boolean
  /** Waits for the result, or rejects with the signal's reason. */
  join(call: Call): Promise<T>
}

/**
 * Starts a look-up. `work` must not reject but for its signal.
 *
 * @example
 * const lookup = sharedLookup((call) => inner.resolve('example.org', 'MX', call))
 * await lookup.join(call)
 */
export function sharedLookup<T>(work: (call: Call) => Promise<T>): SharedLookup<T> {
  const controller = new AbortController()
  const result = work({ signal: controller.signal })
  // Whoever waits hears of a rejection in `join`; when nobody waits, nobody needs to.
  result.catch(() => {})
  let waiting = 0
  return {
    get abandoned(): boolean {
      return controller.signal.aborted
    },
    join({ signal }: Call): Promise<T> {
      return new Promise<T>((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason)
        waiting++
        const leave = (): void => {
          if (--waiting === 0) controller.abort(signal.reason)
          reject(signal.reason)
        }
        signal.addEventListener('abort', leave, { once: true })
        const settled = (): void => {
          waiting--
          signal.removeEventListener('abort', leave)
        }
        result.then(
          (value) => {
            settled()
            resolve(value)
          },
          (error: unknown) => {
            settled()
            reject(error)
          },
        )
      })
    },
  }
}
