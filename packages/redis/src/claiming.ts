/** Handing out entries. A lease is in the server and ends by its clock; who holds one that ended may settle until another claims. */
import type { Claim, ClaimQuery, LaneDue, LaneQuery } from '@mailwright/core'
import type { Argument } from './link.ts'
import { CLAIM, GIVE_BACK, LANES, NEXT_DUE, RENEW } from './mail-scripts.ts'
import { numberOf, type RawRow, readClaimedRow, textOf } from './record.ts'
import { claimLost, type StoreParts } from './store-parts.ts'
import { LEAVE } from './upkeep-scripts.ts'

/** Bytes of bodies in one answer. What is beyond is fetched when its attempt reads it. */
const MOST_BODY_BYTES = 1_048_576
/** Claims given back at once. */
const PAGE = 200

export class Claiming {
  readonly #parts: StoreParts

  constructor(parts: StoreParts) {
    this.#parts = parts
  }

  async lanes({ now, limit, exclude }: LaneQuery): Promise<readonly LaneDue[]> {
    const { clock, link } = this.#parts
    const args: Argument[] = [clock.given(now), now, limit]
    if (exclude !== undefined) args.push(...exclude)
    const [serverNow, ...pairs] = (await link.run(LANES, args)) as readonly string[]
    clock.learn(Number(serverNow), now)
    const lanes: LaneDue[] = []
    for (let index = 0; index < pairs.length; index += 2)
      lanes.push({ lane: pairs[index]!, dueAt: Number(pairs[index + 1]) })
    return lanes
  }

  async claim({ lane, now, limit, leaseMs }: ClaimQuery): Promise<readonly Claim[]> {
    const { bodies, claims, clock, link, quarantine } = this.#parts
    const args = [clock.given(now), lane, now, limit, leaseMs, MOST_BODY_BYTES]
    const [serverNow, ...rows] = (await link.runBytes(CLAIM, args)) as readonly [Uint8Array, ...RawRow[]]
    clock.learn(numberOf(serverNow), now)
    return quarantine.sift(rows, (row) => {
      const { token, entry, options, head, body, bodyName } = readClaimedRow(row)
      const message = bodies.source(entry.message, head, entry.size, body, bodyName)
      const claim: Claim = { token, entry, options, message, leaseUntil: now + leaseMs }
      claims.set(token, claim)
      return claim
    })
  }

  async renew(claim: Claim, until: number): Promise<void> {
    const { claims, clock, link } = this.#parts
    const { message, entry } = claim.entry
    if (Number(await link.run(RENEW, [message, entry, claim.token, clock.toServer(until)])) === 1) return
    claims.delete(claim.token)
    throw claimLost(claim)
  }

  async nextDue(exclude: ReadonlySet<string> = new Set()): Promise<number | undefined> {
    const due = await this.#parts.link.runBytes(NEXT_DUE, [...exclude])
    return due === null ? undefined : Number(textOf(due as Uint8Array))
  }

  /** Ends all leases of this node, so that whoever comes first may claim, and all memory of it. */
  async leave(): Promise<void> {
    const { claims, link } = this.#parts
    const held = [...claims.values()]
    claims.clear()
    for (let at = 0; at < held.length; at += PAGE) {
      const page = held.slice(at, at + PAGE)
      await link.run(
        GIVE_BACK,
        page.flatMap(({ token, entry }) => [entry.message, entry.entry, token]),
      )
    }
    await link.run(LEAVE, [])
  }
}
