/**
 * One commit at a time. What is to be written while a commit is under way waits for its end, and then goes together into
 * the next: under load many messages share a sync, and an idle store writes at once. LMDB would queue the commits too,
 * but one by one, each with its own sync and its own wake-up.
 */
export class GroupCommit {
  /** `open`: a group is forming, until this turn of the event loop ends. `closed`: its commit is under way. */
  #group: 'none' | 'open' | 'closed' = 'none'
  #waiting: (() => void)[] = []

  /** Runs `write`, which queues rows and resolves with their commit: now, or as part of the next group. */
  join<T>(write: () => Promise<T>): Promise<T> {
    if (this.#group !== 'closed') return this.#write(write)
    return new Promise((resolve, reject) => {
      this.#waiting.push(() => {
        try {
          this.#write(write).then(resolve, reject)
        } catch (error) {
          reject(error)
        }
      })
    })
  }

  #write<T>(write: () => Promise<T>): Promise<T> {
    const committed = write()
    if (this.#group === 'none') {
      this.#group = 'open'
      // LMDB's binding begins to write in the same phase, just before this.
      setImmediate(() => {
        if (this.#group === 'open') this.#group = 'closed'
      })
      const next = (): void => this.#next()
      committed.then(next, next)
    }
    return committed
  }

  #next(): void {
    this.#group = 'none'
    const group = this.#waiting
    this.#waiting = []
    for (const write of group) write()
  }
}
