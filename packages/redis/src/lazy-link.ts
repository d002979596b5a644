/** A connection that is made when it is first needed, for things that have no opening of their own. */
import { makeClient, type RedisConnectionOptions } from './connection.ts'
import { type Argument, Link } from './link.ts'
import { prefixOf } from './options.ts'
import type { Script } from './script.ts'

export class LazyLink {
  readonly #link: Link
  #opening: Promise<void> | undefined

  /** @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` when it is not said to whom, or under which name. */
  constructor(options: RedisConnectionOptions, name: string) {
    this.#link = new Link(makeClient(options), prefixOf(name), { up: () => {}, down: () => {} })
  }

  get node(): string {
    return this.#link.node
  }

  number(): number {
    return this.#link.number()
  }

  async run(script: Script, args: readonly Argument[], number?: number): Promise<unknown> {
    if (this.#opening === undefined) {
      const opening = this.#link.open()
      this.#opening = opening
      // The next one tries again.
      opening.catch(() => {
        this.#opening = undefined
      })
    }
    await this.#opening
    return this.#link.run(script, args, number)
  }

  async close(): Promise<void> {
    await this.#link.rest()
    this.#link.close()
  }
}
