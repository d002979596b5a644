/** Time. Nothing outside an environment knows what time it is or waits. */
export interface Clock {
  /** Wall clock, ms since the epoch. */
  now(): number
  /** Calls `task` once, `delayMs` from now, unless cancelled. The task must not throw. */
  after(delayMs: number, task: () => void): Timer
}

export interface Timer {
  /** Never fires after this. Cancelling twice, or after it fired, does nothing. */
  cancel(): void
  /** Starts the delay anew, also after it fired. Cheap: made for idle time-outs. */
  refresh(): void
}

/**
 * Resolves after `ms`, or rejects with the signal's reason when it aborts first.
 *
 * @example
 * await sleep(clock, 1_000, call.signal)
 */
export function sleep(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const abort = (): void => {
      timer.cancel()
      reject(signal.reason)
    }
    const timer = clock.after(ms, () => {
      signal.removeEventListener('abort', abort)
      resolve()
    })
    signal.addEventListener('abort', abort, { once: true })
  })
}
