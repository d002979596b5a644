import type { Recipient } from '@mailwright/core'
import type { ClientConnection } from './client-connection.ts'
import type { Errand } from './errand.ts'

/** Who gives a connection its work. */
export interface ConnectionOwner {
  /** The next errand for a connection without work; undefined makes it idle, or `retire` ends it. */
  next(connection: ClientConnection): Errand | 'retire' | undefined
  /** An errand to stage behind the message being sent. */
  behind(): Errand | undefined
  /** An errand that has sent no data and whose connection is lost: it is to be tried again. `leaving` follows. */
  returned(errand: Errand): void
  /** A server put some recipients off before it had the message: another may take them. The owner settles the errand. */
  unfinished(errand: Errand, postponed: readonly Recipient[], label: string): void
  /** The final dot was answered after `ms`. */
  answered(ms: number): void
  /** The connection takes no more work: it is saying QUIT, or `closed` follows at once. */
  leaving(connection: ClientConnection): void
  /** The connection is gone. */
  closed(connection: ClientConnection): void
}
