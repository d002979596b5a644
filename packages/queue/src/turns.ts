/**
 * Who gets the next slot of those whose mail is in hand. Transports take turns. Within one the jobs are asked in the
 * order of `JobList`: a stream is a job, and what of it was in hand when it got in line; in a common line each message is
 * one, which gets in line when it is the first. So lines take turns, big messages let small ones pass, and what is older
 * or of higher priority goes first in its line.
 *
 * A stream that has more than its share of all slots goes behind everybody else.
 */
import type { Destination, Line, TransportState } from './destination.ts'
import { JobList, type PreemptionRules } from './job-list.ts'
import type { InHand } from './scheduler-events.ts'

/** How much older one step of priority (MT-PRIORITY, RFC 6710) makes a message than it is, ms. */
export const PRIORITY_STEP_MS = 60_000

export class Turns<C extends InHand> {
  readonly #transports: TransportState<C>[] = []
  /** Lines with entries in hand. */
  readonly #holding = new Set<Line<C>>()
  /** Most attempts of one stream while others wait. */
  readonly #share: number
  readonly #preemption: PreemptionRules
  /** The place of the transport whose turn it is. */
  #turn = 0
  #now = 0
  #among: 'all' | 'all within their share' = 'all'
  /** A line was not asked because its stream has its share. */
  #passedOver = false

  constructor(share: number, preemption: PreemptionRules) {
    this.#share = share
    this.#preemption = preemption
  }

  get holding(): ReadonlySet<Line<C>> {
    return this.#holding
  }

  transport(name: string, rateDelayMs: number): TransportState<C> {
    const known = this.#transports.find((each) => each.name === name)
    if (known !== undefined) return known
    const jobs = new JobList<Line<C>>(this.#preemption, (line) => this.#mayGo(line))
    const made: TransportState<C> = { name, jobs, rateDelayMs, busy: 0, taken: 0, restsUntil: undefined }
    this.#transports.push(made)
    return made
  }

  /** Whether nobody would be passed by an entry of the line that goes at once. */
  isFirst(line: Line<C>, now: number): boolean {
    this.#now = now
    this.#among = 'all within their share'
    return line.waiting.length === 0 && line.destination.transport.jobs.size === 0 && this.#mayGo(line)
  }

  /** Takes an entry in hand. */
  hold(line: Line<C>, claim: C, now: number): void {
    const { waiting } = line
    let at = waiting.length
    const rank = rankOf(claim)
    while (at > 0 && rankOf(waiting[at - 1]!) > rank) at -= 1
    this.#put(line, claim, at, now)
  }

  /** Takes an entry in hand again that was at its turn before. */
  holdFirst(line: Line<C>, claim: C, now: number): void {
    this.#put(line, claim, 0, now)
  }

  #put(line: Line<C>, claim: C, at: number, now: number): void {
    const { waiting, destination } = line
    if (at === waiting.length) waiting.push(claim)
    else waiting.splice(at, 0, claim)
    if (waiting.length === 1) this.#holding.add(line)
    // Who comes before the one that is in line for a message takes its place.
    else if (at === 0) destination.transport.jobs.withdraw(line)
    this.#enlist(line, now)
  }

  /** The line whose first entry goes now; undefined: none may. */
  next(now: number): Line<C> | undefined {
    this.#now = now
    this.#among = 'all within their share'
    this.#passedOver = false
    const line = this.#ask()
    if (line !== undefined || !this.#passedOver) return line
    // Nobody else can use the slot.
    this.#among = 'all'
    return this.#ask()
  }

  #ask(): Line<C> | undefined {
    const count = this.#transports.length
    for (let asked = 0; asked < count; asked++) {
      const { jobs } = this.#transports[this.#turn % count]!
      this.#turn = (this.#turn + 1) % count
      const line = jobs.size === 0 ? undefined : jobs.select(this.#now)
      if (line !== undefined) return line
    }
    return undefined
  }

  /** Takes the first entry of a line out of hand. */
  take(line: Line<C>, now: number): C {
    const claim = line.waiting.shift()!
    if (line.waiting.length === 0) this.#holding.delete(line)
    else this.#enlist(line, now)
    return claim
  }

  /** Takes entries out of hand, in the order of the line: all, or those meant. */
  drop(line: Line<C>, now: number, isMeant?: (claim: C) => boolean): readonly C[] {
    line.destination.transport.jobs.withdraw(line)
    const dropped = isMeant === undefined ? line.waiting.splice(0) : line.waiting.filter(isMeant)
    if (isMeant !== undefined) {
      const kept = line.waiting.filter((claim) => !dropped.includes(claim))
      line.waiting.splice(0, line.waiting.length, ...kept)
    }
    if (line.waiting.length === 0) this.#holding.delete(line)
    else this.#enlist(line, now)
    return dropped
  }

  #enlist(line: Line<C>, now: number): void {
    if (line.listed > 0) return
    const { jobs } = line.destination.transport
    const { waiting, stream } = line
    const first = waiting[0]!
    if (stream !== undefined) jobs.add(stream.name, line, waiting.length, now)
    else jobs.add(first.entry.message, line, 1, now - (first.options.priority ?? 0) * PRIORITY_STEP_MS)
  }

  /** Whether an attempt at an entry of the line may begin. */
  #mayGo({ destination, stream }: Line<C>): boolean {
    if (!isOpen(destination)) return false
    if (stream === undefined || stream.busy < this.#share || this.#among === 'all') return true
    this.#passedOver = true
    return false
  }
}

/** Whether the destination has a slot of its own now. */
export function isOpen<C>({ busy, window, restsUntil, transport }: Destination<C>): boolean {
  if (busy >= window || restsUntil !== undefined) return false
  return transport.rateDelayMs === 0 || (transport.busy === 0 && transport.restsUntil === undefined)
}

/** Mail of a lower priority than usual goes behind what came up to that much later. A higher one is in `dueAt` already. */
function rankOf({ entry, options }: InHand): number {
  const { priority } = options
  return priority === undefined || priority >= 0 ? entry.dueAt : entry.dueAt - priority * PRIORITY_STEP_MS
}
