/**
 * Who is delivering what. Leases live in the memory of the one process that owns the spool: handing out a claim writes
 * nothing, and a crash ends all of them. Tokens begin with the number of the opening, so that none is ever used twice.
 */
import { claimLane, type MessageId } from '@mailwright/core'
import type { EntryRow } from './record.ts'

export interface Lease {
  readonly token: string
  readonly message: MessageId
  readonly entry: number
  /** From where it was claimed. */
  readonly lane: string
  readonly row: EntryRow
  /** The version of the row when it was claimed: a settlement that finds it unchanged need not read it. */
  readonly version: number
  until: number
  /** Over, but nobody else has claimed the entry: its holder may still settle. */
  ended: boolean
  /** Being written: no second settlement, and no end. */
  settling: boolean
}

export class Leases {
  readonly #generation: string
  readonly #byToken = new Map<string, Lease>()
  readonly #byEntry = new Map<string, Lease>()
  #issued = 0
  #live = 0
  /** No lease ends before. May be too early, never too late. */
  #earliestEnd = Number.POSITIVE_INFINITY

  constructor(generation: number) {
    this.#generation = generation.toString(36)
  }

  /** Leases in force. */
  get live(): number {
    return this.#live
  }

  /** Whether an entry is out of reach for others. */
  has(message: MessageId, entry: number): boolean {
    const lease = this.#byEntry.get(nameOf(message, entry))
    return lease !== undefined && !lease.ended
  }

  /** Leases an entry that nobody has; a lease that ended is lost by it. */
  take(message: MessageId, entry: number, row: EntryRow, version: number, until: number): Lease {
    const name = nameOf(message, entry)
    const last = this.#byEntry.get(name)
    if (last !== undefined) this.#byToken.delete(last.token)
    this.#issued += 1
    const token = `${this.#generation}.${this.#issued.toString(36)}`
    const lane = claimLane(row)
    const lease: Lease = { token, message, entry, lane, row, version, until, ended: false, settling: false }
    this.#byToken.set(token, lease)
    this.#byEntry.set(name, lease)
    this.#live += 1
    if (until < this.#earliestEnd) this.#earliestEnd = until
    return lease
  }

  /** The lease of a claim, unless it was lost. */
  find(token: string): Lease | undefined {
    return this.#byToken.get(token)
  }

  /** The lease of an entry, be it over. */
  of(message: MessageId, entry: number): Lease | undefined {
    return this.#byEntry.get(nameOf(message, entry))
  }

  /** Ends for good a lease that is there. */
  drop(lease: Lease): void {
    this.#byToken.delete(lease.token)
    this.#byEntry.delete(nameOf(lease.message, lease.entry))
    if (!lease.ended) this.#live -= 1
  }

  renew(lease: Lease, until: number): void {
    lease.until = until
    if (until < this.#earliestEnd) this.#earliestEnd = until
    if (!lease.ended) return
    lease.ended = false
    this.#live += 1
  }

  /** Ends the leases that are over at `now`, and answers which. */
  endAt(now: number): readonly Lease[] {
    if (now < this.#earliestEnd) return []
    const over: Lease[] = []
    this.#earliestEnd = Number.POSITIVE_INFINITY
    for (const lease of this.#byToken.values()) {
      if (lease.ended) continue
      if (lease.until <= now && !lease.settling) {
        lease.ended = true
        this.#live -= 1
        over.push(lease)
      } else if (lease.until < this.#earliestEnd) this.#earliestEnd = lease.until
    }
    return over
  }
}

function nameOf(message: MessageId, entry: number): string {
  return `${message}/${entry}`
}
