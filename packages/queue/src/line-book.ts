/** The lines, destinations and streams that the scheduler remembers: those with something under way, or a grudge. */
import { destinationKey, INSTRUCTED_LANE, parseLaneKey } from '@mailwright/core'
import { type Destination, freshDestination, freshLine, type Line, type Manners, type Stream } from './destination.ts'
import type { InHand } from './scheduler-events.ts'
import type { Turns } from './turns.ts'

export class LineBook<C extends InHand> {
  /** Lines and destinations, by key, that an operator keeps from being tried, or all of them. */
  suspended: ReadonlySet<string> | 'all' = new Set()
  readonly #mannersOf: (key: string) => Manners
  readonly #turns: Turns<C>
  readonly #lines = new Map<string, Line<C>>()
  readonly #destinations = new Map<string, Destination<C>>()
  readonly #streams = new Map<string, Stream>()

  constructor(mannersOf: (key: string) => Manners, turns: Turns<C>) {
    this.#mannersOf = mannersOf
    this.#turns = turns
  }

  get size(): number {
    return this.#lines.size
  }

  lines(): IterableIterator<Line<C>> {
    return this.#lines.values()
  }

  line(key: string): Line<C> {
    const known = this.#lines.get(key)
    if (known !== undefined) return known
    const common = destinationKey(key)
    const destination = this.#destinations.get(common) ?? this.#freshDestination(common)
    const line = freshLine(key, destination, common === key ? undefined : this.#stream(parseLaneKey(key).stream!))
    line.suspended = this.isSuspended(line)
    destination.lines += 1
    this.#lines.set(key, line)
    return line
  }

  /** Whether an operator keeps the line from being tried. What operators want done goes on, whatever is suspended. */
  isSuspended({ key, destination }: Line<C>): boolean {
    if (this.suspended === 'all') return key !== INSTRUCTED_LANE
    return this.suspended.has(key) || this.suspended.has(destination.key)
  }

  /** Nothing of the line is left; of its destination and stream perhaps neither. */
  forget(line: Line<C>): void {
    if (!this.#lines.delete(line.key)) return
    const { destination, stream } = line
    destination.lines -= 1
    this.forgetDestination(destination)
    if (stream === undefined) return
    stream.lines -= 1
    if (stream.lines === 0) this.#streams.delete(stream.name)
  }

  /** One that takes mail with pauses is remembered until its pause is over. */
  forgetDestination({ key, lines, restsUntil }: Destination<C>): void {
    if (lines === 0 && restsUntil === undefined) this.#destinations.delete(key)
  }

  #freshDestination(key: string): Destination<C> {
    const manners = this.#mannersOf(key)
    const transport = this.#turns.transport(key.slice(0, key.indexOf(':')), manners.transportRateDelayMs ?? 0)
    const destination = freshDestination(key, manners, transport)
    this.#destinations.set(key, destination)
    return destination
  }

  #stream(name: string): Stream {
    let stream = this.#streams.get(name)
    if (stream === undefined) {
      stream = { name, busy: 0, lines: 0 }
      this.#streams.set(name, stream)
    }
    stream.lines += 1
    return stream
  }
}
