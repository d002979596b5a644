/** Suppressions by address, in memory: what every list keeps, whatever it writes besides. */
import { type Mailbox, MailwrightError, mailboxKey, type Suppression } from '@mailwright/core'

export class SuppressionMap {
  readonly #limit: number
  readonly #entries = new Map<string, Suppression>()
  /** Keys in order, made when a listing wants them. */
  #sorted: readonly string[] | undefined

  constructor(limit: number) {
    this.#limit = limit
  }

  get size(): number {
    return this.#entries.size
  }

  find(address: Mailbox, now: number): Suppression | undefined {
    const known = this.#entries.get(mailboxKey(address))
    return known?.until !== undefined && known.until <= now ? undefined : known
  }

  /** @throws MailwrightError `ERR_MAILWRIGHT_STORE` when there is no room. */
  assertRoom(address: Mailbox): void {
    if (this.#entries.size < this.#limit || this.#entries.has(mailboxKey(address))) return
    throw new MailwrightError('ERR_MAILWRIGHT_STORE', `the suppression list is full: it has ${this.#limit} addresses`)
  }

  set(suppression: Suppression): void {
    const key = mailboxKey(suppression.address)
    if (!this.#entries.has(key)) this.#sorted = undefined
    this.#entries.set(key, suppression)
  }

  delete(address: Mailbox): boolean {
    const found = this.#entries.delete(mailboxKey(address))
    if (found) this.#sorted = undefined
    return found
  }

  /** Forgets those whose time is over. */
  prune(now: number): void {
    for (const { address, until } of this.#entries.values())
      if (until !== undefined && until <= now) this.delete(address)
  }

  list(limit: number, after: Mailbox | undefined): readonly Suppression[] {
    this.#sorted ??= [...this.#entries.keys()].sort()
    const first = after === undefined ? 0 : firstAfter(this.#sorted, mailboxKey(after))
    return this.#sorted.slice(first, first + limit).map((key) => this.#entries.get(key)!)
  }

  values(): Iterable<Suppression> {
    return this.#entries.values()
  }
}

/** Where the keys after this one begin. */
function firstAfter(sorted: readonly string[], key: string): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (sorted[middle]! <= key) low = middle + 1
    else high = middle
  }
  return low
}
