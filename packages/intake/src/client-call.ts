/**
 * What work for a client is called with. Most connections come and go without anybody asking for the signal, so it is
 * made when somebody does.
 */
import type { Call } from '@mailwright/core'

export class ClientCall implements Call {
  #controller: AbortController | undefined
  #over: { readonly reason: unknown } | undefined

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#over !== undefined) this.#controller.abort(this.#over.reason)
    }
    return this.#controller.signal
  }

  get aborted(): boolean {
    return this.#over !== undefined
  }

  /** Aborts what is under way. */
  end(reason: unknown): void {
    this.#over ??= { reason }
    this.#controller?.abort(this.#over.reason)
  }
}
