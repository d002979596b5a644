/** The destinations that have work or connections, and their shutdown. Memory grows with busy destinations only. */
import type { Call, Scope } from '@mailwright/core'
import { AbortWatch } from './abort-watch.ts'
import type { ClientConnection } from './client-connection.ts'
import { Destination, type DestinationOwner } from './destination.ts'
import type { Settings } from './options.ts'
import { TicketBox } from './ticket-box.ts'
import { plainWay, type Way } from './way.ts'

export class ConnectionPool implements DestinationOwner {
  readonly watch: AbortWatch = new AbortWatch()
  readonly tickets: TicketBox = new TicketBox()
  readonly #settings: Settings
  readonly #scope: Scope
  readonly #destinations = new Map<string, Destination>()
  /** Every connection that is not closed, also those that are saying QUIT. */
  readonly #connections = new Set<ClientConnection>()
  #phase: 'running' | 'draining' | 'stopped' = 'running'
  #quiet: (() => void) | undefined

  constructor(settings: Settings, scope: Scope) {
    this.#settings = settings
    this.#scope = scope
  }

  get phase(): 'running' | 'draining' | 'stopped' {
    return this.#phase
  }

  /** Connections open now. */
  get size(): number {
    return this.#connections.size
  }

  /** The destination of this next hop, for mail that goes there as nobody in particular. */
  destination(nextHop: string): Destination {
    return this.#destinations.get(nextHop) ?? this.by(plainWay(nextHop))
  }

  /** The destination that this way leads to. */
  by(way: Way): Destination {
    let destination = this.#destinations.get(way.key)
    if (destination === undefined) {
      destination = new Destination(way, this.#settings, this.#scope, this)
      this.#destinations.set(way.key, destination)
    }
    return destination
  }

  /** Closes connections as they run out of work. Resolves when all are closed, or when the signal aborts. */
  async drain(call: Call): Promise<void> {
    if (this.#phase === 'running') this.#phase = 'draining'
    for (const destination of [...this.#destinations.values()]) destination.drain()
    if (this.#isQuiet() || call.signal.aborted) return
    await new Promise<void>((resolve) => {
      const finish = (): void => {
        call.signal.removeEventListener('abort', finish)
        this.#quiet = undefined
        resolve()
      }
      this.#quiet = finish
      call.signal.addEventListener('abort', finish, { once: true })
    })
  }

  /** Closes everything at once. Errands still in hand are deferred. */
  stop(): void {
    this.#phase = 'stopped'
    for (const destination of [...this.#destinations.values()]) destination.stop()
    for (const connection of [...this.#connections]) connection.stop()
    this.#destinations.clear()
    this.#quiet?.()
  }

  opened(connection: ClientConnection): void {
    this.#connections.add(connection)
  }

  closed(connection: ClientConnection): void {
    this.#connections.delete(connection)
    if (this.#isQuiet()) this.#quiet?.()
  }

  deserted(destination: Destination): void {
    if (this.#destinations.get(destination.way.key) === destination) {
      this.#destinations.delete(destination.way.key)
    }
    if (this.#isQuiet()) this.#quiet?.()
  }

  #isQuiet(): boolean {
    return this.#destinations.size === 0 && this.#connections.size === 0
  }
}
