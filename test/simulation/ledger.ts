/**
 * Who is responsible for which recipient of which message, and whether he dealt with it as he must. A keeper (a client,
 * or a server's queue) may let go of a recipient in two ways: somebody else has a copy, or the sender was told. Every
 * other copy that a keeper gave away needs an explanation: the keeper crashed before he could write down that he had
 * given it, or the answer to it was lost on the way.
 *
 * The entries come in the order of the effects themselves, as stores and mailboxes see them; what the servers believe
 * (replies, events) is not asked. What is wrong is collected in `problems`, never thrown.
 */

/** Identifies what a keeper holds. A server's `id` is its queue id; a client's is the Message-ID. */
export interface Holding {
  readonly keeper: string
  readonly id: string
}

/** A copy of a message at the next place, for one recipient. */
export interface Copy {
  /** Where it is: a queue id at a server, or a mailbox. */
  readonly place: string
  /** Why the keeper may not have heard that it arrived; undefined when he must have heard. */
  excuse(): string | undefined
}

/** `returned`: the sender is told; `dropped`: there is nobody to tell; `given up`: a client that was never answered. */
export type Release = 'passed on' | 'returned' | 'dropped' | 'given up'

export interface Charge extends Holding {
  readonly recipient: string
  /** The message's own Message-ID, the same at every keeper. */
  readonly messageId: string
  readonly state: 'held' | Release
}

interface LiveCharge extends Charge {
  state: Charge['state']
  /** Copies that exist and have not been accounted for. */
  open: { readonly copy: Copy; crashed: boolean }[]
}

export class Ledger {
  readonly problems: string[] = []
  readonly #charges = new Map<string, LiveCharge>()
  readonly #held = new Map<string, Set<LiveCharge>>()
  readonly #catchUp: () => void
  #explained = 0

  /** `catchUp` is called before each entry: for places that must be asked what has arrived. */
  constructor(catchUp: () => void) {
    this.#catchUp = catchUp
  }

  get charges(): readonly Charge[] {
    return [...this.#charges.values()]
  }

  /** Copies beyond the first that had an explanation. */
  get explained(): number {
    return this.#explained
  }

  /** Recipients that a keeper is responsible for now. */
  held(keeper: string): number {
    return this.#held.get(keeper)?.size ?? 0
  }

  /** The keeper has taken responsibility. */
  took(holding: Holding, messageId: string, recipients: readonly string[]): void {
    this.#catchUp()
    for (const recipient of recipients) {
      const key = keyOf(holding, recipient)
      if (this.#charges.has(key)) {
        this.problems.push(`${key}: taken twice under the same id`)
        continue
      }
      const charge: LiveCharge = { ...holding, recipient, messageId, state: 'held', open: [] }
      this.#charges.set(key, charge)
      const held = this.#held.get(holding.keeper)
      if (held === undefined) this.#held.set(holding.keeper, new Set([charge]))
      else held.add(charge)
    }
  }

  /** A copy that came from this keeper has arrived. */
  copied(from: Holding, recipient: string, copy: Copy): void {
    const charge = this.#charges.get(keyOf(from, recipient))
    if (charge === undefined) this.problems.push(`${keyOf(from, recipient)}: a copy at ${copy.place} out of nowhere`)
    else if (charge.state === 'held' || copy.excuse() !== undefined) charge.open.push({ copy, crashed: false })
    else
      this.problems.push(`${keyOf(from, recipient)}: a copy at ${copy.place} although it was ${charge.state} already`)
  }

  /** The keeper tried, and goes on trying. */
  deferred(holding: Holding, recipient: string): void {
    this.#catchUp()
    const charge = this.#current(holding, recipient, 'deferred')
    if (charge !== undefined) this.#explain(charge, 0, 'deferred')
  }

  /** The keeper lets go. */
  released(holding: Holding, recipient: string, how: Release): void {
    this.#catchUp()
    const charge = this.#current(holding, recipient, how)
    if (charge === undefined) return
    if (how === 'passed on' && charge.open.length === 0)
      this.problems.push(`${keyOf(holding, recipient)}: let go as passed on, but nobody has a copy`)
    this.#explain(charge, how === 'passed on' ? 1 : 0, how)
    charge.state = how
    this.#held.get(holding.keeper)?.delete(charge)
  }

  /** The keeper died and has forgotten what he had not written down. */
  crashed(keeper: string): void {
    this.#catchUp()
    for (const charge of this.#held.get(keeper) ?? []) for (const one of charge.open) one.crashed = true
  }

  #current(holding: Holding, recipient: string, what: string): LiveCharge | undefined {
    const charge = this.#charges.get(keyOf(holding, recipient))
    if (charge?.state === 'held') return charge
    this.problems.push(`${keyOf(holding, recipient)}: ${what}, but it was ${charge?.state ?? 'never taken'}`)
    return undefined
  }

  /** All open copies but so many need an excuse. The latest is the one that counts. */
  #explain(charge: LiveCharge, rightful: number, what: string): void {
    const left = charge.open.slice(0, Math.max(charge.open.length - rightful, 0))
    charge.open = []
    for (const { copy, crashed } of left) {
      if (crashed || copy.excuse() !== undefined) this.#explained += 1
      else
        this.problems.push(`${keyOf(charge, charge.recipient)}: ${what}, but ${copy.place} has a copy and had said so`)
    }
  }
}

function keyOf({ keeper, id }: Holding, recipient: string): string {
  return `${keeper} ${id} <${recipient}>`
}
