/**
 * Decides what is tried next: a pure state machine, `step(event) -> effects`. It stores nothing, waits for nothing, and
 * knows neither SMTP nor the time: every event brings its `now`. Its memory grows with the lanes that are busy or dead,
 * not with the queue.
 *
 * A *slot* is the right to talk to a destination; what is claimed and has no slot yet is *in hand*. Claiming a little
 * ahead of the slots lets mail be claimed as it is stored, and a backlog in batches, instead of one by one.
 *
 * A lane that has nothing in hand may always get one entry, even while others have all the slots and go on with a backlog:
 * what is in hand gets the free slots lane by lane, so every lane has its turn.
 *
 * A lane is *ready* while the store may hold due entries of it. A ready lane with room gets a claim; lanes take turns. The store is surveyed for other due lanes at the start, when something may have become due, and after a survey
 * that did not see everything: too many lanes, or one left out because it was ready, whose later mail is then not known.
 * A dead lane is left out of surveys, so it costs nothing until its time comes.
 */
import type { LaneDue } from '@mailwright/core'
import { type Concurrency, type ConcurrencyOptions, freshConcurrency, punish, revive, reward } from './concurrency.ts'
import type { Effect, SchedulerEvent } from './scheduler-events.ts'

export type { Effect, SchedulerEvent } from './scheduler-events.ts'

export interface SchedulerOptions extends ConcurrencyOptions {
  /** Most attempts under way at once, over all lanes; and most that wait for their settlement before more are begun. */
  readonly maxAttempts: number
  /** Most entries of a lane that are claimed beyond its slots; 0: none without a slot, nor is there a turn for each lane. */
  readonly ahead: number
  /** Most entries of all lanes together that are claimed beyond their slots, but for those that wait for their lane's turn. */
  readonly aheadOfAll: number
  /** How long a dead destination is left alone, ms. */
  readonly deadMs: number
  /** Most lanes asked for in one survey. */
  readonly surveyLimit: number
}

interface LaneState {
  readonly concurrency: Concurrency
  /** Attempts under way. */
  busy: number
  /** Entries that may be claimed: granted with a put, or asked for. */
  promised: number
  /** Entries claimed that wait for a slot. */
  inHand: number
  /** How many of these three kinds have a slot, and how many are ahead of one. */
  slots: number
  ahead: number
  /** Attempts the destination is done with and the store is not. */
  settling: number
  claiming: boolean
  /** Mail was stored while a claim was under way: its answer may not have seen it. */
  missed: boolean
  /** A survey left the lane out: when its later mail is due is not known. */
  unseen: boolean
  deadUntil: number | undefined
}

const NOTHING: readonly Effect[] = []

export class Scheduler {
  readonly #options: SchedulerOptions
  readonly #lanes = new Map<string, LaneState>()
  /** Lanes that may have due mail in the store, in the order of their turns. */
  readonly #ready = new Set<string>()
  readonly #dead = new Set<string>()
  /** Lanes with entries in hand, in the order of their turns. */
  readonly #holding = new Set<string>()
  #busy = 0
  #slots = 0
  #ahead = 0
  #settling = 0
  #surveyWanted = true
  #surveying = false
  #draining = false

  constructor(options: SchedulerOptions) {
    this.#options = options
  }

  /** Attempts under way, entries in hand, and entries that may be claimed. */
  get taken(): number {
    return this.#slots + this.#ahead
  }

  /** Lanes the scheduler remembers. */
  get lanes(): number {
    return this.#lanes.size
  }

  step(event: SchedulerEvent): readonly Effect[] {
    switch (event.type) {
      case 'offered':
        return this.#offered(event.lane)
      case 'stored':
        return this.#stored(event.lane)
      case 'placed':
        return this.#arrived(event.lane, 1, 1)
      case 'withdrawn':
        return this.#arrived(event.lane, 1, 0)
      case 'claimed':
        return this.#claimed(event.lane, event.asked, event.got)
      case 'recalled':
        return this.#recalled(event.lane, event.count)
      case 'finished':
        return this.#finished(event)
      case 'settled':
        return this.#settled(event.lane, event.retryAt)
      case 'surveyed':
        return this.#surveyed(event.lanes, event.nextDue)
      case 'stalled':
        return this.#stalled(event)
      case 'woken':
        return this.#woken(event.now)
      case 'flushed':
        return this.#flushed(event.lane)
      case 'paused':
        return NOTHING
      case 'draining':
        this.#draining = true
        return this.#plan()
    }
  }

  #offered(name: string): readonly Effect[] {
    const lane = this.#lane(name)
    // A claim takes all the room there is, so mail that came before goes first. What is freed while the claim is under
    // way goes to newcomers: a backlog and fresh mail share a lane, and neither starves the other.
    if (this.#draining || lane.deadUntil !== undefined || this.#room(lane) === 0) {
      this.#forgetIdle(name)
      return NOTHING
    }
    lane.promised += 1
    this.#count(lane)
    return [{ type: 'grant', lane: name }]
  }

  #stored(name: string): readonly Effect[] {
    const lane = this.#lane(name)
    if (lane.claiming) lane.missed = true
    if (lane.deadUntil !== undefined) return NOTHING
    if (!this.#ready.has(name) && this.#ready.size >= this.#options.surveyLimit) {
      // Enough lanes wait for a slot: the store remembers the others, the longest waiting first.
      this.#surveyWanted = true
      this.#forgetIdle(name)
      return NOTHING
    }
    this.#ready.add(name)
    return this.#plan()
  }

  #claimed(name: string, asked: number, got: number): readonly Effect[] {
    const lane = this.#lane(name)
    lane.claiming = false
    if (got < asked && !lane.missed) {
      this.#ready.delete(name)
      if (lane.unseen) this.#surveyWanted = true
      lane.unseen = false
    } else if (this.#ready.delete(name)) {
      // Behind the lanes that came while it waited for its answer.
      this.#ready.add(name)
    }
    lane.missed = false
    return this.#arrived(name, asked, got)
  }

  /** What was promised has come, or not. */
  #arrived(name: string, promised: number, got: number): readonly Effect[] {
    const lane = this.#lane(name)
    lane.promised -= promised
    lane.inHand += got
    if (lane.inHand > 0) this.#holding.add(name)
    this.#count(lane)
    this.#forgetIdle(name)
    return this.#plan()
  }

  #recalled(name: string, count: number): readonly Effect[] {
    const lane = this.#lane(name)
    lane.inHand -= count
    if (lane.inHand === 0) this.#holding.delete(name)
    this.#count(lane)
    this.#forgetIdle(name)
    return this.#plan()
  }

  #finished(event: Extract<SchedulerEvent, { type: 'finished' }>): readonly Effect[] {
    const { lane: name, now } = event
    const lane = this.#lane(name)
    const busy = lane.busy
    lane.settling += 1
    this.#settling += 1
    lane.busy -= 1
    this.#busy -= 1
    const effects: Effect[] = []
    if (event.result === 'answered') {
      // Somebody got through: the others may go too.
      if (lane.deadUntil !== undefined) this.#revive(name, busy, effects)
      else reward(lane.concurrency, busy, this.#options)
    } else if (
      event.result === 'unreachable' &&
      lane.deadUntil === undefined &&
      punish(lane.concurrency, this.#options) === 'dead'
    ) {
      lane.deadUntil = now + this.#options.deadMs
      this.#dead.add(name)
      this.#ready.delete(name)
      effects.push({ type: 'dead', lane: name, until: lane.deadUntil }, { type: 'wake', at: lane.deadUntil })
    }
    this.#count(lane)
    return this.#plan(effects)
  }

  #settled(name: string, retryAt: number | undefined): readonly Effect[] {
    this.#lane(name).settling -= 1
    this.#settling -= 1
    this.#forgetIdle(name)
    return this.#plan(retryAt === undefined ? [] : [{ type: 'wake', at: retryAt }])
  }

  #revive(name: string, busy: number, effects: Effect[]): void {
    const lane = this.#lane(name)
    revive(lane.concurrency, busy, this.#options)
    this.#count(lane)
    lane.deadUntil = undefined
    this.#dead.delete(name)
    // What waited in the store while the lane was dead is due, and no survey has told when the rest will be.
    this.#ready.add(name)
    lane.unseen = true
    effects.push({ type: 'alive', lane: name })
  }

  #surveyed(lanes: readonly LaneDue[], nextDue: number | undefined): readonly Effect[] {
    this.#surveying = false
    for (const { lane } of lanes) {
      const state = this.#lane(lane)
      if (state.deadUntil !== undefined) continue
      this.#ready.add(lane)
      // `nextDue` was asked about the others.
      state.unseen = true
    }
    if (lanes.length >= this.#options.surveyLimit) this.#surveyWanted = true
    return this.#plan(nextDue === undefined ? [] : [{ type: 'wake', at: nextDue }])
  }

  #stalled(event: Extract<SchedulerEvent, { type: 'stalled' }>): readonly Effect[] {
    if (event.lane === undefined) this.#surveying = false
    else {
      const lane = this.#lane(event.lane)
      lane.claiming = false
      lane.missed = false
      // Left to the survey at `retryAt`, so that a store in trouble is not asked in a tight loop.
      this.#ready.delete(event.lane)
      lane.promised -= event.asked
      this.#count(lane)
      this.#forgetIdle(event.lane)
    }
    return [{ type: 'wake', at: event.retryAt }]
  }

  #woken(now: number): readonly Effect[] {
    const effects: Effect[] = []
    let next: number | undefined
    for (const name of this.#dead) {
      const lane = this.#lane(name)
      if (lane.deadUntil! > now) next = Math.min(next ?? lane.deadUntil!, lane.deadUntil!)
      else this.#revive(name, lane.busy, effects)
    }
    if (next !== undefined) effects.push({ type: 'wake', at: next })
    this.#surveyWanted = true
    return this.#plan(effects)
  }

  #flushed(only: string | undefined): readonly Effect[] {
    const effects: Effect[] = []
    for (const name of this.#dead)
      if (only === undefined || only === name) this.#revive(name, this.#lane(name).busy, effects)
    this.#surveyWanted = true
    return this.#plan(effects)
  }

  /** Attempts at what is in hand; claims for ready lanes while there is room; a survey when other lanes may be due. */
  #plan(effects: Effect[] = []): readonly Effect[] {
    if (this.#holding.size > 0) this.#serve(effects)
    if (this.#draining) return effects
    for (const name of this.#ready) {
      if (this.#left === 0) break
      const lane = this.#lanes.get(name)!
      const room = this.#room(lane)
      if (lane.claiming || room === 0) continue
      // While something is in hand a claim can wait until it brings a batch.
      if (lane.inHand > 0 && room * 2 < this.#options.ahead) continue
      lane.claiming = true
      lane.promised += room
      this.#count(lane)
      // To the end of the line: the next free slot is another lane's turn.
      this.#ready.delete(name)
      this.#ready.add(name)
      effects.push({ type: 'claim', lane: name, limit: room })
      if (effects.length > this.#options.surveyLimit) break
    }
    const { maxAttempts, surveyLimit } = this.#options
    const hungry = this.taken < maxAttempts + this.#mostWaiting && this.#ready.size < surveyLimit
    if (this.#surveyWanted && !this.#surveying && hungry) {
      this.#surveyWanted = false
      this.#surveying = true
      for (const name of this.#ready) this.#lane(name).unseen = true
      effects.push({
        type: 'survey',
        exclude: new Set([...this.#ready, ...this.#dead]),
        limit: this.#options.surveyLimit,
      })
    }
    return effects
  }

  /** Slots for entries in hand, lane by lane. A dead lane gives its entries back: others may be waiting for the room. */
  #serve(effects: Effect[]): void {
    for (const name of this.#holding) {
      const lane = this.#lanes.get(name)!
      const free = lane.deadUntil === undefined ? lane.concurrency.window - lane.busy : 0
      const count = Math.min(lane.inHand, free, this.#idle)
      if (count > 0) this.#begin(name, count, effects)
      if (lane.inHand > 0 && (this.#draining || lane.deadUntil !== undefined)) this.#handBack(name, effects)
    }
  }

  #begin(name: string, count: number, effects: Effect[]): void {
    const lane = this.#lane(name)
    lane.inHand -= count
    lane.busy += count
    this.#busy += count
    this.#count(lane)
    // To the end of the line: the next free slot is another lane's turn.
    this.#holding.delete(name)
    if (lane.inHand > 0) this.#holding.add(name)
    effects.push({ type: 'begin', lane: name, count })
  }

  #handBack(name: string, effects: Effect[]): void {
    const lane = this.#lane(name)
    lane.inHand = 0
    this.#count(lane)
    this.#holding.delete(name)
    effects.push({ type: 'hand-back', lane: name })
  }

  /** How many more attempts may begin. None while the store is behind with what was attempted already. */
  get #idle(): number {
    const { maxAttempts } = this.#options
    return this.#settling < maxAttempts ? maxAttempts - this.#busy : 0
  }

  /** How many more entries all lanes together may have claimed. */
  get #left(): number {
    const { maxAttempts } = this.#options
    return this.#settling < maxAttempts ? Math.max(0, maxAttempts + this.#mostWaiting - this.taken) : 0
  }

  /** Most entries that may be claimed and have no slot: those ahead, and as many lanes with one as there are slots. */
  get #mostWaiting(): number {
    const { maxAttempts, ahead, aheadOfAll } = this.#options
    return ahead === 0 ? aheadOfAll : aheadOfAll + maxAttempts
  }

  /** How many more entries of a lane may be claimed: its free slots, and beyond them some ahead. */
  #room(lane: LaneState): number {
    const { maxAttempts, ahead, aheadOfAll } = this.#options
    const open = Math.max(0, lane.concurrency.window - lane.slots)
    const slots = Math.min(open, Math.max(0, maxAttempts - this.#slots))
    // Ahead of slots of its own only: with none left for all, what is claimed would wait for others.
    const more = slots < open ? 0 : Math.max(0, Math.min(ahead - lane.ahead, aheadOfAll - this.#ahead))
    // But one, to have its turn: those others may go on for ever.
    const turn = lane.promised + lane.inHand === 0 && lane.ahead < ahead && this.#ahead < this.#mostWaiting ? 1 : 0
    return Math.min(Math.max(slots + more, turn), this.#left)
  }

  /** Brings the sums up to date after a change in a lane. */
  #count(lane: LaneState): void {
    const taken = lane.busy + lane.promised + lane.inHand
    const free = Math.max(0, this.#options.maxAttempts - this.#slots + lane.slots)
    const slots = Math.min(taken, lane.concurrency.window, free)
    this.#slots += slots - lane.slots
    this.#ahead += taken - slots - lane.ahead
    lane.slots = slots
    lane.ahead = taken - slots
  }

  #lane(name: string): LaneState {
    let lane = this.#lanes.get(name)
    if (lane === undefined) {
      lane = {
        concurrency: freshConcurrency(this.#options),
        busy: 0,
        promised: 0,
        inHand: 0,
        slots: 0,
        ahead: 0,
        settling: 0,
        claiming: false,
        missed: false,
        unseen: false,
        deadUntil: undefined,
      }
      this.#lanes.set(name, lane)
    }
    return lane
  }

  /** A lane without attempts, backlog or grudge is forgotten. */
  #forgetIdle(name: string): void {
    const lane = this.#lanes.get(name)
    if (lane === undefined || lane.slots + lane.ahead + lane.settling > 0 || lane.claiming) return
    if (lane.deadUntil === undefined && !this.#ready.has(name)) this.#lanes.delete(name)
  }
}
