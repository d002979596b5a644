import type { Clock, Events, Interest, Listener, MailEvent } from '@mailwright/core'

interface Subscription {
  readonly listener: Listener
  readonly interest: Interest | undefined
}

/** The events of one server. Nobody outside it hears them. */
export class EventHub implements Events {
  readonly #clock: Clock
  /** Replaced, never changed, so that a listener may end its own subscription while being told. */
  #subscriptions: readonly Subscription[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  wants(type: MailEvent['type']): boolean {
    for (const { interest } of this.#subscriptions) if (interest === undefined || interest(type)) return true
    return false
  }

  emit(event: MailEvent): void {
    let at: number | undefined
    for (const subscription of this.#subscriptions) {
      const { listener, interest } = subscription
      if (interest !== undefined && !interest(event.type)) continue
      at ??= this.#clock.now()
      try {
        listener(event, at)
      } catch (error) {
        this.#reportBroken(subscription, error, at)
      }
    }
  }

  subscribe(listener: Listener, interest?: Interest): () => void {
    const subscription: Subscription = { listener, interest }
    this.#subscriptions = [...this.#subscriptions, subscription]
    return () => {
      this.#subscriptions = this.#subscriptions.filter((other) => other !== subscription)
    }
  }

  /** Tells everybody but the broken one. A second failure on the way is dropped: reporting must end somewhere. */
  #reportBroken(broken: Subscription, error: unknown, at: number): void {
    for (const subscription of this.#subscriptions) {
      const { listener, interest } = subscription
      if (subscription === broken || interest?.('failure') === false) continue
      try {
        listener({ type: 'failure', where: 'event listener', error }, at)
      } catch {
        // Its own failures are reported when it fails on an event of its own.
      }
    }
  }
}
