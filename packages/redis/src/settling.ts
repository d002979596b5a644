/**
 * Writing down what became of an attempt, in one script: what stays, where it goes on, and the notice it causes. A settlement
 * whose answer was lost is asked again under its number, also by who settles again later, and is then answered, not repeated.
 */
import {
  type Call,
  type Claim,
  movedEntries,
  type Remainder,
  remainingRecipients,
  type Settlement,
} from '@mailwright/core'
import { changedNothing } from './failure.ts'
import type { Argument } from './link.ts'
import { SETTLE } from './mail-scripts.ts'
import type { Brought } from './message-bodies.ts'
import { assertStorable, assertTime, messageArguments, pushEntry } from './record.ts'
import { bodyGone, claimLost, type StoreParts } from './store-parts.ts'

const NEVER: Call = { signal: new AbortController().signal }
/** Most settlements nobody knows the end of that are kept in mind. */
const MOST_DOUBTFUL = 10_000

export class Settling {
  readonly #parts: StoreParts
  /** By token, the numbers of settlements nobody knows the end of. */
  readonly #doubtful = new Map<string, number>()

  constructor(parts: StoreParts) {
    this.#parts = parts
  }

  async settle(claim: Claim, settlement: Settlement): Promise<Remainder> {
    const args = settlementArguments(claim, settlement)
    const { also } = settlement
    if (also === undefined) return this.#write(claim, args, undefined)
    const { message, source } = also
    assertStorable(message)
    const notice = await this.#parts.bodies.bring(message.id, source, NEVER)
    args.push(...messageArguments(message, source.head, notice.place, notice.size, undefined))
    return this.#write(claim, args, notice)
  }

  async #write(claim: Claim, args: readonly Argument[], notice: Brought | undefined): Promise<Remainder> {
    const { bodies, claims, link } = this.#parts
    const number = this.#doubtful.get(claim.token) ?? link.number()
    let answer: string
    try {
      answer = String(await link.run(SETTLE, args, number))
    } catch (error) {
      const isCertain = changedNothing(error)
      if (notice !== undefined) await bodies.conclude(notice, isCertain ? 'refused' : 'doubtful')
      if (!isCertain && this.#doubtful.size < MOST_DOUBTFUL) this.#doubtful.set(claim.token, number)
      throw this.#parts.failed(error)
    }
    if (this.#doubtful.size > 0) this.#doubtful.delete(claim.token)
    const isSettled = answer !== 'lost' && answer !== 'bodiless'
    if (notice !== undefined) await bodies.conclude(notice, isSettled ? 'stored' : 'refused')
    if (answer === 'bodiless') throw bodyGone(claim.entry.message)
    claims.delete(claim.token)
    if (!isSettled) throw claimLost(claim)
    if (answer === 'waiting' || answer === 'nothing') return answer
    await bodies.remove(answer.slice('nothing '.length))
    return 'nothing'
  }
}

function settlementArguments({ entry, token }: Claim, settlement: Settlement): Argument[] {
  const { outcomes, retryAt, counted, warned, moved } = settlement
  assertTime(retryAt)
  const remaining = remainingRecipients(entry.recipients, outcomes)
  const elsewhere = moved === undefined ? [] : movedEntries(remaining, moved)
  const args: Argument[] = [
    entry.message,
    entry.entry,
    token,
    remaining.length === 0 ? '' : JSON.stringify(remaining),
    retryAt,
    counted ? '1' : '',
    warned ? '1' : '',
    entry.instruction === undefined ? '' : '1',
    elsewhere.length,
  ]
  for (const each of elsewhere) {
    assertTime(each.dueAt)
    pushEntry(args, each)
  }
  return args
}
