import type { Errand } from './errand.ts'

/**
 * The errands of callers that may abort. A queue gives all its work one signal: it is listened to once, not for each
 * message.
 */
export class AbortWatch {
  readonly #errands = new WeakMap<AbortSignal, Set<Errand>>()

  add(errand: Errand): void {
    const { signal } = errand.call
    let watched = this.#errands.get(signal)
    if (watched === undefined) {
      const errands = new Set<Errand>()
      watched = errands
      this.#errands.set(signal, errands)
      signal.addEventListener('abort', () => {
        for (const each of errands) each.giveUp()
      })
    }
    watched.add(errand)
  }

  remove(errand: Errand): void {
    this.#errands.get(errand.call.signal)?.delete(errand)
  }
}
