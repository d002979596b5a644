/**
 * How nodes wake each other: a channel of the server, on a connection of its own. Whoever makes a lane due that had nothing
 * due says `mail`; an operator's change says `operator`. A message may be lost with the connection: whoever comes back
 * takes it that there was one.
 */
import type { Arrival } from '@mailwright/core'
import { connected, type RedisClient } from './connection.ts'
import { storeFailure } from './failure.ts'

export class WakeChannel {
  readonly #client: RedisClient
  readonly #channels: readonly string[]
  readonly #trouble: (error: unknown) => void
  #isClosed = false

  /** `heard` is told of what others than `node` said, on any of the channels. */
  constructor(
    client: RedisClient,
    channels: readonly string[],
    node: string,
    heard: (by: Arrival) => void,
    trouble: (error: unknown) => void,
  ) {
    this.#client = client
    this.#channels = channels
    this.#trouble = trouble
    // The main connection tells of a server that is away.
    client.on('error', () => {})
    client.on('message', (_channel: string, said: string) => {
      const [by, speaker] = said.split(' ')
      if (speaker !== node) heard(by === 'operator' ? 'operator' : 'mail')
    })
    let isFirst = true
    client.on('ready', () => {
      if (!isFirst) void this.#subscribe().then(() => heard('operator'), this.#trouble)
      isFirst = false
    })
  }

  async open(): Promise<void> {
    try {
      await connected(this.#client)
      await this.#client.subscribe(...this.#channels)
    } catch (error) {
      this.close()
      throw storeFailure(error)
    }
  }

  close(): void {
    this.#isClosed = true
    this.#client.disconnect()
  }

  /** Again, after the client has done so itself: when this is answered, nothing more is lost. */
  async #subscribe(): Promise<void> {
    try {
      await this.#client.subscribe(...this.#channels)
    } catch (error) {
      if (!this.#isClosed) throw error
    }
  }
}
