/** Notices what must never happen in a process that serves mail: an error or a rejection that nobody handled. */

export interface Guards {
  readonly caught: readonly unknown[]
  remove(): void
}

/** To be installed before the server and removed after it. */
export function installGuards(): Guards {
  const caught: unknown[] = []
  const note = (error: unknown): void => void caught.push(error)
  process.on('uncaughtException', note)
  process.on('unhandledRejection', note)
  return {
    caught,
    remove(): void {
      process.off('uncaughtException', note)
      process.off('unhandledRejection', note)
    },
  }
}
