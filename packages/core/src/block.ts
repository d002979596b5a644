/** The unit of assembly: a named thing with a handle and a lifecycle. Blocks import this, never the kernel. */
import type { Call } from './call.ts'
import type { Environment } from './environment.ts'
import type { Events } from './events.ts'

export interface Block<H> {
  readonly name: string
  /** Called once, when the block is given to a server. Makes the handle; does no I/O. */
  create(scope: Scope): H & Lifecycle
}

/** Blocks start in the order they were added and stop in reverse. All three are optional and called at most once. */
export interface Lifecycle {
  /** Ready when it resolves. If it rejects, blocks already started are stopped and `Mta.start` rejects. */
  start?(call: Call): Promise<void>
  /** Take nothing new; finish what is in hand. The signal aborts when the grace time is over. */
  drain?(call: Call): Promise<void>
  /** Let go of everything. Nothing of the block keeps the process alive afterwards. */
  stop?(): Promise<void>
}

/** What a server lends its blocks. */
export interface Scope {
  /** The server's name. */
  readonly name: string
  readonly environment: Environment
  readonly events: Events
  /** Aborted when the grace time of shutdown is over, or the server stops. */
  readonly signal: AbortSignal
  /** Runs background work: a rejection becomes a `failure` event, and shutdown waits for it and can name it. */
  task(name: string, work: () => Promise<void>): void
}
