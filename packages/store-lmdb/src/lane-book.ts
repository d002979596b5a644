/**
 * Which lanes have mail, and from when: what `lanes`, `nextDue` and `claim` ask, without walking the queue.
 *
 * `heads` holds hints on disk: for every row of `due` there is a head of the same lane that is not later. Heads may be
 * too early: the true time is then looked up in `due`, and remembered here, so that a hint that is wrong costs one
 * look-up. When a walk meets many wrong heads they are corrected in one transaction.
 *
 * THE RACE. `put` skips writing a head when one that is early enough is known to be committed. A correction removes
 * heads. The two must not cross, or mail would wait in a lane that nobody is told of:
 * - a head is known only after its commit (`arrived`), so a commit that fails leaves no false knowledge;
 * - while a put is under way in a lane (`underway` > 0: it may have skipped a head, and its row may not be visible yet)
 *   no head of that lane is removed;
 * - the correction runs in the write transaction, on the thread that also counts puts; it forgets the head it removes
 *   before any later put can rely on it.
 * Other processes write heads always and remove none, so what the owner knows stays true.
 */
import { INSTRUCTED_LANE, type LaneDue, type LaneQuery, type MessageId } from '@mailwright/core'
import { type Database, type DueKey, endOfLane, type HeadKey, NOTHING, startOfLane } from './database.ts'

interface LaneState {
  readonly lane: string
  /** The earliest head known to be committed; infinity when none is. */
  head: number
  /** Puts that are not committed yet. */
  underway: number
  leased: number
  /** When the first unclaimed entry is due; infinity when there is none, undefined when nobody has looked. */
  first: number | undefined
  /** Every row of `due` before this one is leased. */
  floor: DueKey | undefined
}

/** Wrong heads one walk may meet before it has them corrected. */
const TOLERATED = 16
/** Lanes remembered before the idle ones are forgotten. */
const REMEMBERED = 20_000

export class LaneBook {
  readonly #db: Database
  readonly #isLeased: (message: MessageId, entry: number) => boolean
  readonly #correct: ((rows: readonly HeadKey[]) => void) | undefined
  readonly #lanes = new Map<string, LaneState>()
  #forgetAt = REMEMBERED

  /** Without `correct`, heads are neither skipped nor removed: the part of a process that is not the owner. */
  constructor(
    db: Database,
    isLeased: (message: MessageId, entry: number) => boolean,
    correct: ((rows: readonly HeadKey[]) => void) | undefined,
  ) {
    this.#db = db
    this.#isLeased = isLeased
    this.#correct = correct
  }

  /** A put in the lane is being queued: until it has arrived or failed, no head of the lane is removed. */
  arriving(lane: string): void {
    this.#state(lane).underway += 1
  }

  /** Writes the head of a new row of `due`, unless one that is early enough is known. Part of the row's own batch. */
  cover(lane: string, dueAt: number): void {
    if (this.#state(lane).head > dueAt) this.#db.heads.put([dueAt, lane], NOTHING)
  }

  /** The put is committed: a head not later than `dueAt` is there, whether by it or before. */
  arrived(lane: string, dueAt: number): void {
    const state = this.#state(lane)
    state.underway -= 1
    this.#know(state, dueAt)
  }

  /** The put came to nothing. */
  failed(lane: string): void {
    this.#state(lane).underway -= 1
  }

  /** A row of `due` is there, committed, and nobody's. */
  isDue(key: DueKey): void {
    const state = this.#state(key[0])
    if (state.first !== undefined && key[1] < state.first) state.first = key[1]
    if (state.floor !== undefined && isBefore(key, state.floor)) state.floor = key
  }

  leased(lane: string): void {
    this.#state(lane).leased += 1
  }

  /** A lease is over, and its entry is gone or has been told of by `isDue`. */
  unleased(lane: string): void {
    this.#state(lane).leased -= 1
  }

  /** Something happened to the rows of a lane that its memory does not tell: look again. */
  forgetLane(lane: string): void {
    const state = this.#lanes.get(lane)
    if (state === undefined) return
    state.first = undefined
    state.floor = undefined
  }

  /** Leases of entries claimed from a lane ended. What was instructed meanwhile is due in another lane than it is leased in. */
  leasesChanged(lane: string): void {
    this.forgetLane(lane)
    this.forgetLane(INSTRUCTED_LANE)
  }

  /** Rows were changed by other hands: look again. */
  forget(): void {
    for (const lane of this.#lanes.keys()) this.forgetLane(lane)
  }

  /** The first rows of a lane that are due at `now` and nobody's, for the caller to lease at once. */
  claimable(lane: string, now: number, limit: number): readonly DueKey[] {
    const state = this.#state(lane)
    if (state.first !== undefined && state.first > now) return []
    const found: DueKey[] = []
    this.#walk(state, (key) => {
      if (found.length === limit || key[1] > now) return false
      found.push(key)
      return true
    })
    return found
  }

  lanes({ now, limit, exclude }: LaneQuery): readonly LaneDue[] {
    const due: LaneDue[] = []
    const seen = new Set<string>()
    const wrong: HeadKey[] = []
    for (const key of this.#db.heads.getKeys()) {
      const [dueAt, lane] = key
      // Heads are never late: no lane further on can be due before this one's head.
      if (dueAt > now || (due.length >= limit && dueAt >= due[limit - 1]!.dueAt)) break
      if (exclude?.has(lane)) continue
      const first = this.#judge(key, seen, wrong)
      if (first <= now) insertInOrder(due, { lane, dueAt: first })
    }
    this.#haveCorrected(wrong)
    return due.slice(0, limit)
  }

  nextDue(exclude: ReadonlySet<string> | undefined): number | undefined {
    let next = Number.POSITIVE_INFINITY
    const seen = new Set<string>()
    const wrong: HeadKey[] = []
    for (const key of this.#db.heads.getKeys()) {
      if (key[0] >= next) break
      if (exclude?.has(key[1])) continue
      next = Math.min(next, this.#judge(key, seen, wrong))
    }
    this.#haveCorrected(wrong)
    return next === Number.POSITIVE_INFINITY ? undefined : next
  }

  /**
   * Makes heads true. To be called inside a write transaction; afterwards, when it is committed, the result is to be
   * given to `corrected`.
   */
  correctHeads(rows: readonly HeadKey[]): readonly HeadKey[] {
    const written: HeadKey[] = []
    for (const row of rows) {
      const [dueAt, lane] = row
      const state = this.#lanes.get(lane)
      if (state !== undefined && state.underway > 0) continue
      const first = firstRow(this.#db, lane)
      if (first === dueAt) continue
      if (state !== undefined) state.head = Number.POSITIVE_INFINITY
      this.#db.heads.remove(row)
      // A first row before this head has a head of its own; one after it needs one.
      if (first === undefined || first < dueAt) continue
      this.#db.heads.put([first, lane], NOTHING)
      written.push([first, lane])
    }
    return written
  }

  corrected(written: readonly HeadKey[]): void {
    for (const [dueAt, lane] of written) {
      const state = this.#lanes.get(lane)
      if (state !== undefined) this.#know(state, dueAt)
    }
  }

  #state(lane: string): LaneState {
    let state = this.#lanes.get(lane)
    if (state === undefined) {
      if (this.#lanes.size >= this.#forgetAt) this.#forgetIdle()
      state = { lane, head: Number.POSITIVE_INFINITY, underway: 0, leased: 0, first: undefined, floor: undefined }
      this.#lanes.set(lane, state)
    }
    return state
  }

  #know(state: LaneState, dueAt: number): void {
    if (this.#correct !== undefined && dueAt < state.head) state.head = dueAt
  }

  /** When the first unclaimed entry of the head's lane is due. Takes note of heads that are wrong. */
  #judge(key: HeadKey, seen: Set<string>, wrong: HeadKey[]): number {
    const [dueAt, lane] = key
    if (seen.has(lane)) {
      wrong.push(key)
      return Number.POSITIVE_INFINITY
    }
    seen.add(lane)
    const state = this.#state(lane)
    const first = state.first ?? this.#walk(state, () => false)
    // While entries are leased their rows are there, before the first unclaimed one.
    if (state.leased === 0 && first > dueAt) wrong.push(key)
    return first
  }

  /** Goes through the unleased rows of a lane while `take` takes them; the first not taken is the new first. Answers when that is due. */
  #walk(state: LaneState, take: (key: DueKey) => boolean): number {
    state.first = Number.POSITIVE_INFINITY
    const { lane, floor } = state
    const mayBeLeased = state.leased > 0 || lane === INSTRUCTED_LANE
    for (const key of this.#db.due.getKeys({ start: floor ?? startOfLane(lane), end: endOfLane(lane) })) {
      const leased = mayBeLeased && this.#isLeased(key[2], key[3])
      if (!leased && !take(key)) {
        state.first = key[1]
        return state.first
      }
      state.floor = key
    }
    return state.first
  }

  #haveCorrected(wrong: readonly HeadKey[]): void {
    if (wrong.length >= TOLERATED) this.#correct?.(wrong)
  }

  #forgetIdle(): void {
    for (const [lane, state] of this.#lanes) if (state.leased === 0 && state.underway === 0) this.#lanes.delete(lane)
    this.#forgetAt = Math.max(REMEMBERED, this.#lanes.size * 2)
  }
}

/** When the first row of a lane is due, leased or not. */
function firstRow(db: Database, lane: string): number | undefined {
  for (const key of db.due.getKeys({ start: startOfLane(lane), end: endOfLane(lane), limit: 1 })) return key[1]
  return undefined
}

function isBefore(one: DueKey, other: DueKey): boolean {
  if (one[1] !== other[1]) return one[1] < other[1]
  if (one[2] !== other[2]) return one[2] < other[2]
  return one[3] < other[3]
}

function insertInOrder(due: LaneDue[], lane: LaneDue): void {
  let at = due.length
  while (at > 0 && due[at - 1]!.dueAt > lane.dueAt) at -= 1
  due.splice(at, 0, lane)
}
