/**
 * How much may be claimed. A *slot* is the right to talk to a destination; what is claimed beyond the slots is *ahead*.
 * Claiming a little ahead lets mail be claimed as it is stored, and a backlog in batches, instead of one by one.
 *
 * A line that has nothing in hand may always get one entry, even while others have all the slots and go on with a
 * backlog: so every line has its turn.
 */
import type { Destination, Line } from './destination.ts'

export interface SlotLimits {
  /** Most attempts under way at once, over all lanes; and most that wait for their settlement before more are begun. */
  readonly maxAttempts: number
  /** Most entries of a destination that are claimed beyond its slots; 0: none without a slot, nor is there a turn for each line. */
  readonly ahead: number
  /** Most entries of all lanes together that are claimed beyond their slots, but for those that wait for their line's turn. */
  readonly aheadOfAll: number
}

export class Slots<C> {
  readonly #limits: SlotLimits
  #busy = 0
  #settling = 0
  #slots = 0
  #ahead = 0
  /** When an attempt last ended that had left none to begin. */
  #fullAt = 0

  constructor(limits: SlotLimits) {
    this.#limits = limits
  }

  /** Attempts under way, entries in hand, and entries that may be claimed. */
  get taken(): number {
    return this.#slots + this.#ahead
  }

  get fullAt(): number {
    return this.#fullAt
  }

  /** How many more attempts may begin. None while the store is behind with what was attempted already. */
  get idle(): number {
    const { maxAttempts } = this.#limits
    return this.#settling < maxAttempts ? maxAttempts - this.#busy : 0
  }

  /** How many more entries all lines together may have claimed. */
  get left(): number {
    const { maxAttempts } = this.#limits
    return this.#settling < maxAttempts ? Math.max(0, this.most - this.taken) : 0
  }

  /** Most entries that may be claimed. */
  get most(): number {
    return this.#limits.maxAttempts + this.#mostWaiting
  }

  /** Most entries that may be claimed and have no slot: those ahead, and as many lines with one as there are slots. */
  get #mostWaiting(): number {
    const { maxAttempts, ahead, aheadOfAll } = this.#limits
    return ahead === 0 ? aheadOfAll : aheadOfAll + maxAttempts
  }

  /** How many entries of a line may be ahead: the lines of a destination share what it may have. */
  aheadOf({ destination }: Line<C>): number {
    const { ahead } = this.#limits
    return destination.lines < 2 ? ahead : Math.ceil(ahead / destination.lines)
  }

  /**
   * How many more entries of a line may be claimed: the free slots of its destination, and beyond them some ahead. Of the
   * room for turns a backlog leaves some to `fresh` mail, so that a message to very many destinations cannot fill it.
   */
  room(line: Line<C>, mail: 'fresh' | 'backlog'): number {
    const { maxAttempts, ahead, aheadOfAll } = this.#limits
    const { destination } = line
    if (isPaced(destination)) return mayHaveOne(destination) ? Math.min(1, this.left) : 0
    const claimed = line.promised + line.waiting.length
    const open = Math.max(0, destination.window - destination.slots)
    const slots = Math.min(open, Math.max(0, maxAttempts - this.#slots))
    const own = destination.lines < 2 ? destination.ahead : claimed
    // Ahead of slots of its own only: with none left for all, what is claimed would wait for others.
    const more = slots < open ? 0 : Math.max(0, Math.min(this.aheadOf(line) - own, aheadOfAll - this.#ahead))
    // But one, to have its turn: those others may go on for ever.
    const most = mail === 'fresh' ? this.#mostWaiting : this.#mostWaiting - Math.floor(maxAttempts / 2)
    const turn = claimed === 0 && ahead > 0 && this.#ahead < most ? 1 : 0
    return Math.min(Math.max(slots + more, turn), this.left)
  }

  /** More or fewer entries of a destination are in hand or under way, or its window is another: brings the sums up to date. */
  count(destination: Destination<C>): void {
    const free = Math.max(0, this.#limits.maxAttempts - this.#slots + destination.slots)
    const slots = Math.min(destination.taken, destination.window, free)
    const ahead = destination.taken - slots
    this.#slots += slots - destination.slots
    this.#ahead += ahead - destination.ahead
    destination.slots = slots
    destination.ahead = ahead
  }

  begin(): void {
    this.#busy += 1
  }

  /** An attempt has given its slot back. */
  end(now: number): void {
    if (this.idle === 0) this.#fullAt = now
    this.#busy -= 1
  }

  /** Its settlement is on its way. */
  owe(): void {
    this.#settling += 1
  }

  settle(now: number): void {
    if (this.idle === 0) this.#fullAt = now
    this.#settling -= 1
  }
}

function isPaced<C>({ manners, transport }: Destination<C>): boolean {
  return transport.rateDelayMs > 0 || (manners.rateDelayMs ?? 0) > 0
}

/** Who takes mail with pauses is served one by one, and nothing is in hand during a pause: others need the room. */
function mayHaveOne<C>({ taken, restsUntil, transport }: Destination<C>): boolean {
  if (taken > 0 || restsUntil !== undefined) return false
  return transport.rateDelayMs === 0 || (transport.taken === 0 && transport.restsUntil === undefined)
}
