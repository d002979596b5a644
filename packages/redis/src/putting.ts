/**
 * Taking a message, in one script and one round trip. A put whose answer was lost is sent again; where even that gets no
 * answer, the sender is told to try again, and the message is withdrawn when the server is back: whatever became of it,
 * it is not delivered beside the one that comes again.
 */
import {
  type Call,
  type Claim,
  type MessageId,
  type MessageSource,
  type NewMessage,
  type PutClaim,
  throwIfAborted,
} from '@mailwright/core'
import { changedNothing } from './failure.ts'
import type { Argument } from './link.ts'
import { PUT, WITHDRAW } from './mail-scripts.ts'
import type { Brought } from './message-bodies.ts'
import { assertStorable, isClaimed, messageArguments } from './record.ts'
import { bodyGone, type StoreParts } from './store-parts.ts'

/** A put nobody knows the end of. */
interface Doubtful {
  readonly number: number
  readonly message: MessageId
}

/** Most of them that are kept in mind. */
const MOST_DOUBTFUL = 10_000
/** How many are withdrawn at once. */
const PAGE = 500
const NO_CLAIMS: readonly Claim[] = []

export class Putting {
  readonly #parts: StoreParts
  readonly #doubtful: Doubtful[] = []

  constructor(parts: StoreParts) {
    this.#parts = parts
  }

  async put(
    message: NewMessage,
    source: MessageSource,
    claim: PutClaim | undefined,
    call: Call,
  ): Promise<readonly Claim[]> {
    throwIfAborted(call)
    assertStorable(message)
    const { bodies } = this.#parts
    const small = bodies.inline(source)
    if (small !== undefined) return this.#store(message, small, claim)
    const brought = await bodies.bring(message.id, source, call)
    return this.#store(message, brought, claim)
  }

  /** Takes back what nobody knows whether it was stored. To be called when the server is back, before anything else. */
  async withdraw(): Promise<void> {
    while (this.#doubtful.length > 0) {
      const page = this.#doubtful.splice(0, PAGE)
      const ends = await Promise.allSettled(page.map((each) => this.#withdraw(each)))
      for (const [index, end] of ends.entries()) if (end.status === 'rejected') this.#doubtful.push(page[index]!)
      const failure = ends.find((end) => end.status === 'rejected')
      if (failure !== undefined) throw failure.reason
    }
  }

  async #withdraw({ number, message }: Doubtful): Promise<void> {
    const body = await this.#parts.link.run(WITHDRAW, [message], number)
    if (typeof body === 'string' && body !== '') await this.#parts.bodies.remove(body)
  }

  async #store(message: NewMessage, brought: Brought, claim: PutClaim | undefined): Promise<readonly Claim[]> {
    const { bodies, clock, link } = this.#parts
    const number = link.number()
    const lease: readonly Argument[] =
      claim !== undefined && message.entries.some((entry) => isClaimed(entry, claim))
        ? [clock.given(claim.now), claim.leaseMs]
        : ['', '']
    const rest = messageArguments(message, brought.source.head, brought.place, brought.size, claim)
    let answer: string
    try {
      answer = String(await link.run(PUT, [...lease, ...rest], number))
    } catch (error) {
      const isCertain = changedNothing(error)
      await bodies.conclude(brought, isCertain ? 'refused' : 'doubtful')
      if (!isCertain && this.#doubtful.length < MOST_DOUBTFUL) this.#doubtful.push({ number, message: message.id })
      throw this.#parts.failed(error)
    }
    const [word, serverNow] = answer.split(' ')
    if (brought.spooled !== undefined) await bodies.conclude(brought, word === 'stored' ? 'stored' : 'refused')
    if (word === 'bodiless') throw bodyGone(message.id)
    this.#parts.succeeded()
    if (word !== 'stored' || claim === undefined || lease[1] === '') return NO_CLAIMS
    clock.learn(Number(serverNow), claim.now)
    return this.#claimsOf(message, brought, claim, number)
  }

  #claimsOf(message: NewMessage, { source, size }: Brought, claim: PutClaim, number: number): readonly Claim[] {
    const { claims, link } = this.#parts
    const { id, sender, options, arrivedAt } = message
    const given: Claim[] = []
    for (const [entry, each] of message.entries.entries()) {
      if (!isClaimed(each, claim)) continue
      const { lane, recipients, dueAt } = each
      const seen = { message: id, entry, lane, sender, recipients, size, arrivedAt, dueAt, attempts: 0, claimed: true }
      const labels = options.labels
      const made: Claim = {
        token: `${link.node}.${number}.${entry}`,
        entry: labels === undefined ? seen : { ...seen, labels },
        options,
        message: source,
        leaseUntil: claim.now + claim.leaseMs,
      }
      claims.set(made.token, made)
      given.push(made)
    }
    return given
  }
}
