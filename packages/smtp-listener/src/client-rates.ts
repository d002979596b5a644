/**
 * How much each client network did lately, as Postfix's anvil counts: everything within one unit of time that begins
 * with the first thing counted, refused or not. Over a limit the client hears of it until its unit is over.
 *
 * At most `remembered` networks are kept, and the one whose unit began first is forgotten first: the memory does not
 * grow with the number of clients, and there is no timer. A client with more networks than that is not stopped here.
 */
import type { Clock } from '@mailwright/core'

export type Counted = 'connections' | 'messages' | 'recipients' | 'failedAuthentications' | 'tlsHandshakes'

/** The limits, Infinity where there is none. */
export interface RateConfig extends Readonly<Record<Counted, number>> {
  readonly unitMs: number
  readonly remembered: number
}

interface Tally extends Record<Counted, number> {
  readonly since: number
}

/** Expired networks cleared away with each new one. */
const MOST_CLEARED = 2

export class ClientRates {
  readonly #clock: Clock
  readonly #config: RateConfig
  /** In the order their units began. */
  readonly #tallies = new Map<string, Tally>()

  constructor(clock: Clock, config: RateConfig) {
    this.#clock = clock
    this.#config = config
  }

  /** Networks remembered now. */
  get size(): number {
    return this.#tallies.size
  }

  /** Counts one more, and says whether that was one too many. */
  count(network: string, what: Counted): 'within' | 'over' {
    if (this.#config[what] === Number.POSITIVE_INFINITY) return 'within'
    return ++this.#tallyOf(network)[what] > this.#config[what] ? 'over' : 'within'
  }

  /** Whether one more would be too many. */
  next(network: string, what: Counted): 'within' | 'over' {
    const tally = this.#tallies.get(network)
    if (tally === undefined || this.#isOver(tally)) return 'within'
    return tally[what] >= this.#config[what] ? 'over' : 'within'
  }

  #tallyOf(network: string): Tally {
    const known = this.#tallies.get(network)
    if (known !== undefined) {
      if (!this.#isOver(known)) return known
      this.#tallies.delete(network)
    }
    this.#makeRoom()
    const tally: Tally = {
      since: this.#clock.now(),
      connections: 0,
      messages: 0,
      recipients: 0,
      failedAuthentications: 0,
      tlsHandshakes: 0,
    }
    this.#tallies.set(network, tally)
    return tally
  }

  #makeRoom(): void {
    let cleared = 0
    for (const [network, tally] of this.#tallies) {
      if (this.#tallies.size < this.#config.remembered && (cleared === MOST_CLEARED || !this.#isOver(tally))) return
      this.#tallies.delete(network)
      cleared++
    }
  }

  /** Its unit of time has passed. A clock that was set back ends it too. */
  #isOver({ since }: Tally): boolean {
    const age = this.#clock.now() - since
    return age >= this.#config.unitMs || age < 0
  }
}
