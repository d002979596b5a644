import type { Clock, Events, Listener, MailEvent } from '@mailwright/core'

/** The events of one server. Nobody outside it hears them. */
export class EventHub implements Events {
  readonly #clock: Clock
  /** Replaced, never changed, so that a listener may end its own subscription while being told. */
  #listeners: readonly Listener[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get wanted(): boolean {
    return this.#listeners.length > 0
  }

  emit(event: MailEvent): void {
    const at = this.#clock.now()
    for (const listener of this.#listeners) {
      try {
        listener(event, at)
      } catch (error) {
        this.#reportBroken(listener, error, at)
      }
    }
  }

  subscribe(listener: Listener): () => void {
    this.#listeners = [...this.#listeners, listener]
    return () => {
      this.#listeners = this.#listeners.filter((other) => other !== listener)
    }
  }

  /** Tells everybody but the broken one. A second failure on the way is dropped: reporting must end somewhere. */
  #reportBroken(broken: Listener, error: unknown, at: number): void {
    for (const listener of this.#listeners) {
      if (listener === broken) continue
      try {
        listener({ type: 'failure', where: 'event listener', error }, at)
      } catch {
        // Its own failures are reported when it fails on an event of its own.
      }
    }
  }
}
