import type { Events } from '@mailwright/core'

/** Work that nobody awaits where it begins. A rejection becomes a `failure` event; the end of the server waits for all. */
export class BackgroundWork {
  readonly #events: Events
  readonly #running = new Set<Promise<void>>()

  constructor(events: Events) {
    this.#events = events
  }

  run(name: string, work: () => Promise<void>): void {
    const running: Promise<void> = Promise.resolve()
      .then(work)
      .catch((error: unknown) => this.#events.emit({ type: 'failure', where: name, error }))
      .finally(() => this.#running.delete(running))
    this.#running.add(running)
  }

  /** Resolves when nothing runs any more, including work begun while waiting. */
  async finished(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running)
  }
}
