/**
 * How much memory the messages in transit of one listener may take: what sinks hold of messages that are not answered
 * yet, and what was read and waits. Over it, whoever sends more is not read on, until others are done; those that wait
 * longest go on first. The oldest message is never stopped, so that there is always one that comes to its end.
 *
 * The budget may be exceeded by what is read at a time: 64 KB per connection. A client that is slow is not waited for:
 * time-outs are short while the budget is used up (`Admission`). A sink that says what it holds (`BodySink.held`) is
 * believed; of another everything written counts.
 */
import type { Awaitable, BodySink, Reply } from '@mailwright/core'

/** What is read at a time. */
const GULP = 65_536
/** Below this share of the budget there is no shortage any more. */
const RELIEF = 0.75

export class MemoryBudget {
  readonly #limit: number
  readonly #tell: (state: 'full' | 'free') => void
  #used = 0
  #full = false
  /** Messages that hold something, the oldest first. */
  readonly #messages = new Set<MeteredSink>()
  /** Those that wait for room, the longest first. */
  readonly #waiting = new Map<MeteredSink, () => void>()

  /** `tell` hears when memory becomes short, and when it no longer is. */
  constructor(limit: number, tell: (state: 'full' | 'free') => void) {
    this.#limit = limit
    this.#tell = tell
  }

  /** Bytes held now. */
  get used(): number {
    return this.#used
  }

  /** The same sink, with its bytes counted. */
  watch(sink: BodySink): BodySink {
    return new MeteredSink(sink, this)
  }

  /** Bytes that came and wait (positive), or are dealt with now (negative). `stop`: read no more for the time being. */
  waiting(bytes: number): 'go on' | 'stop' {
    this.#used += bytes
    if (bytes < 0) this.#makeUse()
    return this.#used > this.#limit ? 'stop' : 'go on'
  }

  /** A message holds `change` bytes more. A promise: until there is room for the next. */
  hold(message: MeteredSink, change: number): Awaitable<void> {
    this.#used += change
    this.#messages.add(message)
    if (change < 0) this.#makeUse()
    if (this.#used <= this.#limit || this.#oldest === message) return
    if (!this.#full) {
      this.#full = true
      this.#tell('full')
    }
    return new Promise((resolve) => this.#waiting.set(message, resolve))
  }

  /** A message is answered, or will not be. */
  release(message: MeteredSink, held: number): void {
    if (!this.#messages.delete(message)) return
    this.#used -= held
    this.#wake(message)
    this.#makeUse()
  }

  get #oldest(): MeteredSink | undefined {
    for (const message of this.#messages) return message
    return undefined
  }

  /** Lets on whom there is room for now. */
  #makeUse(): void {
    if (!this.#full) return
    let room = this.#limit - this.#used
    for (const message of this.#waiting.keys()) {
      if (room <= 0) break
      this.#wake(message)
      room -= GULP
    }
    const oldest = this.#oldest
    if (oldest !== undefined) this.#wake(oldest)
    if (this.#waiting.size > 0 || this.#used > this.#limit * RELIEF) return
    this.#full = false
    this.#tell('free')
  }

  #wake(message: MeteredSink): void {
    const goOn = this.#waiting.get(message)
    if (goOn === undefined) return
    this.#waiting.delete(message)
    goOn()
  }
}

/** A sink whose bytes are counted until its message is answered or given up. */
class MeteredSink implements BodySink {
  /** Let go of at the end: nothing of the message is kept from here. */
  #sink: BodySink | undefined
  readonly #budget: MemoryBudget
  #held = 0

  constructor(sink: BodySink, budget: MemoryBudget) {
    this.#sink = sink
    this.#budget = budget
  }

  write(chunk: Uint8Array): Awaitable<void> {
    const sink = this.#sink
    if (sink === undefined) return
    const written = sink.write(chunk)
    // Given up within that: nothing is held any more.
    if (this.#sink === undefined) return written
    const held = sink.held === undefined ? this.#held + chunk.length : sink.held()
    const change = held - this.#held
    this.#held = held
    const room = this.#budget.hold(this, change)
    if (room === undefined) return written
    return written instanceof Promise ? written.then(() => room) : room
  }

  hopeless(): Reply | undefined {
    return this.#sink?.hopeless()
  }

  end(): Awaitable<readonly Reply[]> {
    const sink = this.#sink
    this.#sink = undefined
    try {
      const replies = sink?.end() ?? []
      if (replies instanceof Promise) {
        const done = (): void => this.#done()
        replies.then(done, done)
      } else this.#done()
      return replies
    } catch (error) {
      this.#done()
      throw error
    }
  }

  abort(): void {
    const sink = this.#sink
    this.#sink = undefined
    this.#done()
    sink?.abort()
  }

  #done(): void {
    this.#budget.release(this, this.#held)
  }
}
