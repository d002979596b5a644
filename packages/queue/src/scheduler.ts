/**
 * Decides what is tried next: a pure state machine, `step(event) -> effects`. It stores nothing, waits for nothing, and
 * knows neither SMTP nor the time: every event brings its `now`. Its memory grows with the lines that are busy or left
 * alone, not with the queue.
 *
 * A line is a lane of the store. Those of one destination share its window, its good and its bad times (`destination.ts`).
 * How much may be claimed is counted in `slots.ts`; who of those in hand is next is decided in `turns.ts`.
 *
 * A line is *ready* while the store may hold due entries of it. A ready line with room gets a claim; lines take turns. The
 * store is surveyed for other due lines at the start, when something may have become due, and after a survey that did not
 * see everything: too many lines, or one left out because it was ready, whose later mail is then not known.
 * A line that is *shut*, because its destination is left alone or an operator wants so, is left out of surveys, so it
 * costs nothing until its time comes.
 */
import { type Claim, claimLane, destinationKey, INSTRUCTED_LANE, type LaneDue } from '@mailwright/core'
import { type ConcurrencyOptions, punish, revive, reward } from './concurrency.ts'
import { type Destination, isClosed, isIdle, type Line, type Manners } from './destination.ts'
import { EVEN_PREEMPTION, type PreemptionRules } from './job-list.ts'
import { LineBook } from './line-book.ts'
import { Rests } from './rests.ts'
import type { Effect, InHand, SchedulerEvent } from './scheduler-events.ts'
import { type SlotLimits, Slots } from './slots.ts'
import { isOpen, Turns } from './turns.ts'

export type { Effect, InHand, SchedulerEvent } from './scheduler-events.ts'

export interface SchedulerOptions extends ConcurrencyOptions, SlotLimits {
  /** How long a dead destination is left alone, ms. */
  readonly deadMs: number
  /** Most lanes asked for in one survey. */
  readonly surveyLimit: number
  /** How a destination is to be treated, by the key of its common line. Default: all like `initial` and so on say. */
  readonly mannersOf?: (destination: string) => Manners
  /** How big jobs let small ones pass. Default `EVEN_PREEMPTION`. */
  readonly preemption?: PreemptionRules | undefined
  /** The part of all slots that one stream may have while others wait. Default 0.8. */
  readonly share?: number
}

const NOTHING: readonly never[] = []

export class Scheduler<C extends InHand = Claim> {
  readonly #options: SchedulerOptions
  readonly #slots: Slots<C>
  readonly #turns: Turns<C>
  readonly #book: LineBook<C>
  readonly #rests = new Rests<C>()
  /** Lines that may have due mail in the store, in the order of their turns. */
  readonly #ready = new Set<Line<C>>()
  /** Lines that are left out of surveys because nothing of them is to be tried. */
  readonly #shut = new Set<Line<C>>()
  /** Destinations that are left alone. */
  readonly #closed = new Set<Destination<C>>()
  #surveyWanted = true
  #surveying = false
  #draining = false
  #now = 0

  constructor(options: SchedulerOptions) {
    this.#options = options
    this.#slots = new Slots(options)
    const share = Math.max(1, Math.floor(options.maxAttempts * (options.share ?? 0.8)))
    this.#turns = new Turns(share, options.preemption ?? EVEN_PREEMPTION)
    this.#book = new LineBook((key) => options.mannersOf?.(key) ?? options, this.#turns)
  }

  /** Attempts under way, entries in hand, and entries that may be claimed. */
  get taken(): number {
    return this.#slots.taken
  }

  /** Lines the scheduler remembers. */
  get lanes(): number {
    return this.#book.size
  }

  /** What is claimed and has no slot yet, by line. */
  *inHand(): IterableIterator<readonly [lane: string, waiting: readonly C[]]> {
    for (const line of [...this.#turns.holding]) yield [line.key, line.waiting]
  }

  /** How long the line that waits longest has been waiting at `now`, ms, though there are slots for it; 0: none waits so. */
  waitingSince(now: number): number {
    if (this.#slots.idle === 0 || this.#draining) return 0
    let longest = 0
    const ask = (line: Line<C>): void => {
      const { destination } = line
      if (isClosed(line) || !isOpen(destination)) return
      const since = Math.max(line.movedAt, destination.fullAt, this.#slots.fullAt)
      longest = Math.max(longest, now - since)
    }
    for (const line of this.#ready) ask(line)
    for (const line of this.#turns.holding) ask(line)
    return longest
  }

  step(event: SchedulerEvent<C>): readonly Effect<C>[] {
    this.#now = event.now
    switch (event.type) {
      case 'offered':
        return this.#offered(event.lane)
      case 'stored':
        return this.#stored(event.lane)
      case 'placed':
        return this.#placed(event.claim)
      case 'withdrawn':
        return this.#arrived(this.#book.line(event.lane), 1, NOTHING)
      case 'claimed':
        return this.#claimed(event.lane, event.asked, event.claims)
      case 'recalled':
        return this.#recalled(event.lane, event.claims)
      case 'kept-back':
        return this.#keptBack(event.lane)
      case 'let-go':
        return this.#letGo(event.claim)
      case 'finished':
        return this.#finished(event.lane, event.result)
      case 'settled':
        return this.#settled(event.lane, event.retryAt)
      case 'surveyed':
        return this.#surveyed(event.lanes, event.nextDue)
      case 'stalled':
        return this.#stalled(event)
      case 'woken':
        return this.#woken()
      case 'turn':
        return this.#turn()
      case 'flushed':
        return this.#flushed(event.lane)
      case 'paused':
        return this.#paused(this.#book.line(event.lane), event.until)
      case 'suspended':
        return this.#suspend(event.lanes)
      case 'draining':
        this.#draining = true
        return this.#plan()
    }
  }

  #offered(name: string): readonly Effect<C>[] {
    const line = this.#book.line(name)
    // A claim takes all the room there is, so mail that came before goes first. What is freed while the claim is under
    // way goes to newcomers: a backlog and fresh mail share a line, and neither starves the other.
    if (this.#draining || isClosed(line) || this.#slots.room(line, 'fresh') === 0) {
      this.#forgetIdle(line)
      return NOTHING
    }
    this.#promise(line, 1)
    return [{ type: 'grant', lane: name }]
  }

  #stored(name: string): readonly Effect<C>[] {
    const line = this.#book.line(name)
    if (line.claiming) line.missed = true
    if (isClosed(line)) {
      this.#leaveOut(line)
      return NOTHING
    }
    if (!this.#ready.has(line)) {
      if (this.#ready.size >= this.#options.surveyLimit) {
        // Enough lines wait for a slot: the store remembers the others, the longest waiting first.
        this.#surveyWanted = true
        this.#forgetIdle(line)
        return this.#plan()
      }
      this.#makeReady(line)
    }
    return this.#plan()
  }

  #claimed(name: string, asked: number, claims: readonly C[]): readonly Effect<C>[] {
    const line = this.#book.line(name)
    line.claiming = false
    line.movedAt = this.#now
    if (claims.length < asked && !line.missed) {
      this.#ready.delete(line)
      if (line.unseen) this.#surveyWanted = true
      line.unseen = false
    } else if (this.#ready.delete(line)) {
      // Behind the lines that came while it waited for its answer.
      this.#ready.add(line)
    }
    line.missed = false
    return this.#arrived(line, asked, claims)
  }

  /** One entry, as with nearly all mail: where nobody waits it begins without standing in any line. */
  #placed(claim: C): readonly Effect<C>[] {
    const line = this.#book.line(claimLane(claim.entry))
    const goes = !isClosed(line) && this.#slots.idle > 0
    if (!goes || !this.#turns.isFirst(line, this.#now)) return this.#arrived(line, 1, [claim])
    line.promised -= 1
    return this.#plan([this.#begin(line, claim)])
  }

  /** What was promised has come, or not. */
  #arrived(line: Line<C>, promised: number, claims: readonly C[]): readonly Effect<C>[] {
    line.promised -= promised
    this.#take(line, claims.length - promised)
    for (const claim of claims) this.#turns.hold(line, claim, this.#now)
    this.#forgetIdle(line)
    return this.#plan(this.#handBackIfClosed(line))
  }

  #recalled(name: string, claims: ReadonlySet<C>): readonly Effect<C>[] {
    const line = this.#book.line(name)
    const dropped = this.#turns.drop(line, this.#now, (claim) => claims.has(claim))
    this.#take(line, -dropped.length)
    this.#forgetIdle(line)
    return this.#plan()
  }

  #keptBack(name: string): readonly Effect<C>[] {
    const line = this.#book.line(name)
    this.#end(line)
    this.#slots.count(line.destination)
    this.#forgetIdle(line)
    return this.#plan()
  }

  #letGo(claim: C): readonly Effect<C>[] {
    const line = this.#book.line(claimLane(claim.entry))
    this.#take(line, 1)
    this.#turns.holdFirst(line, claim, this.#now)
    return this.#plan(this.#handBackIfClosed(line))
  }

  #finished(name: string, result: 'answered' | 'unreachable' | 'untried'): readonly Effect<C>[] {
    const line = this.#book.line(name)
    const { destination } = line
    const { busy, manners } = destination
    line.settling += 1
    this.#slots.owe()
    this.#end(line)
    const effects: Effect<C>[] = []
    if (result !== 'untried')
      for (const at of this.#rests.begin(destination, this.#now)) effects.push({ type: 'turn', at })
    if (result === 'answered') {
      // Somebody got through: the others may go too.
      if (destination.closedFor === 'dead') this.#open(destination, busy, effects)
      else reward(destination, busy, manners)
    } else if (
      result === 'unreachable' &&
      destination.closedFor === undefined &&
      punish(destination, manners) === 'dead'
    )
      this.#close(destination, 'dead', this.#now + this.#options.deadMs, effects)
    this.#slots.count(destination)
    return this.#plan(effects)
  }

  #settled(name: string, retryAt: number | undefined): readonly Effect<C>[] {
    const line = this.#book.line(name)
    line.settling -= 1
    this.#slots.settle(this.#now)
    this.#forgetIdle(line)
    return this.#plan(retryAt === undefined ? [] : [{ type: 'wake', at: retryAt }])
  }

  #surveyed(lanes: readonly LaneDue[], nextDue: number | undefined): readonly Effect<C>[] {
    this.#surveying = false
    for (const { lane } of lanes) {
      const line = this.#book.line(lane)
      if (isClosed(line)) {
        this.#leaveOut(line)
        continue
      }
      this.#makeReady(line)
      // `nextDue` was asked about the others.
      line.unseen = true
    }
    if (lanes.length >= this.#options.surveyLimit) this.#surveyWanted = true
    return this.#plan(nextDue === undefined ? [] : [{ type: 'wake', at: nextDue }])
  }

  #stalled(event: Extract<SchedulerEvent<C>, { type: 'stalled' }>): readonly Effect<C>[] {
    if (event.lane === undefined) this.#surveying = false
    else {
      const line = this.#book.line(event.lane)
      line.claiming = false
      line.missed = false
      // Left to the survey at `retryAt`, so that a store in trouble is not asked in a tight loop.
      this.#ready.delete(line)
      this.#promise(line, -event.asked)
      this.#forgetIdle(line)
    }
    return [{ type: 'wake', at: event.retryAt }]
  }

  #woken(): readonly Effect<C>[] {
    const effects: Effect<C>[] = []
    let next = Number.POSITIVE_INFINITY
    for (const destination of this.#closed) {
      if (destination.closedUntil! > this.#now) next = Math.min(next, destination.closedUntil!)
      else this.#open(destination, destination.busy, effects)
    }
    if (next < Number.POSITIVE_INFINITY) effects.push({ type: 'wake', at: next })
    return this.#look(effects)
  }

  #flushed(lane: string | undefined): readonly Effect<C>[] {
    const only = lane === undefined ? undefined : destinationKey(lane)
    const effects: Effect<C>[] = []
    for (const destination of this.#closed)
      if (only === undefined || only === destination.key) this.#open(destination, destination.busy, effects)
    return this.#look(effects)
  }

  #paused(line: Line<C>, until: number): readonly Effect<C>[] {
    const { destination } = line
    const effects: Effect<C>[] = []
    const later = Math.max(until, destination.closedUntil ?? until)
    if (later > this.#now) this.#close(destination, 'paused', later, effects)
    this.#forgetIdle(line)
    return this.#plan(effects)
  }

  #suspend(lanes: ReadonlySet<string> | 'all'): readonly Effect<C>[] {
    this.#book.suspended = lanes
    const effects: Effect<C>[] = []
    for (const line of this.#book.lines()) {
      line.suspended = this.#book.isSuspended(line)
      if (isClosed(line)) this.#shutLine(line, effects)
      else if (this.#shut.has(line)) this.#reopen(line)
    }
    return this.#look(effects)
  }

  /** Something may be due in lines that are not known. Where all mail is suspended, that is what operators want done. */
  #look(effects: Effect<C>[]): readonly Effect<C>[] {
    this.#surveyWanted = true
    if (this.#book.suspended === 'all') this.#makeReady(this.#book.line(INSTRUCTED_LANE))
    return this.#plan(effects)
  }

  /** Surveys leave the line out; where all mail is suspended there are none, and it need not be remembered. */
  #leaveOut(line: Line<C>): void {
    if (this.#book.suspended === 'all') this.#forgetIdle(line)
    else this.#shut.add(line)
  }

  /** Leaves a destination alone, with all its lines. */
  #close(destination: Destination<C>, why: 'dead' | 'paused', until: number, effects: Effect<C>[]): void {
    destination.closedUntil = until
    destination.closedFor = why
    this.#closed.add(destination)
    effects.push({ type: 'dead', lane: destination.key, until }, { type: 'wake', at: until })
    for (const line of this.#book.lines()) if (line.destination === destination) this.#shutLine(line, effects)
  }

  #shutLine(line: Line<C>, effects: Effect<C>[]): void {
    this.#shut.add(line)
    this.#ready.delete(line)
    if (line.waiting.length > 0) effects.push(this.#handBack(line))
  }

  /** Gives a destination another chance: as many attempts as are under way, or as many as at first. */
  #open(destination: Destination<C>, busy: number, effects: Effect<C>[]): void {
    revive(destination, busy, destination.manners)
    this.#slots.count(destination)
    destination.closedUntil = undefined
    destination.closedFor = undefined
    this.#closed.delete(destination)
    for (const line of this.#shut) if (line.destination === destination && !line.suspended) this.#reopen(line)
    effects.push({ type: 'alive', lane: destination.key })
  }

  #reopen(line: Line<C>): void {
    this.#shut.delete(line)
    // What waited in the store meanwhile is due, and no survey has told when the rest will be.
    this.#makeReady(line)
    line.unseen = true
  }

  #makeReady(line: Line<C>): void {
    if (!this.#ready.has(line)) line.movedAt = this.#now
    this.#ready.add(line)
  }

  /** Attempts at what is in hand; claims for ready lines while there is room; a survey when other lines may be due. */
  #plan(effects: Effect<C>[] = []): readonly Effect<C>[] {
    if (this.#turns.holding.size > 0) this.#serve(effects)
    if (this.#draining) return effects
    /** Lines that are not just waiting for a slot of their destination. One that is claimed from is met again at the end. */
    let able = 0
    for (const line of this.#ready) {
      if (this.#slots.left === 0) return effects
      const room = line.claiming ? 0 : this.#slots.room(line, 'backlog')
      if (line.claiming || room > 0) able += 1
      if (room === 0) continue
      // While something is in hand a claim can wait until it brings a batch.
      if (line.waiting.length > 0 && room * 2 < this.#slots.aheadOf(line)) continue
      able -= 1
      line.claiming = true
      line.movedAt = this.#now
      this.#promise(line, room)
      // To the end of the line: the next free slot is another's turn.
      this.#ready.delete(line)
      this.#ready.add(line)
      effects.push({ type: 'claim', lane: line.key, limit: room })
      if (effects.length > this.#options.surveyLimit) return effects
    }
    const hungry = able < this.#options.surveyLimit && this.#book.suspended !== 'all'
    if (this.#surveyWanted && !this.#surveying && hungry) this.#survey(effects)
    return effects
  }

  #survey(effects: Effect<C>[]): void {
    if (this.#slots.taken >= this.#slots.most) return
    this.#surveyWanted = false
    this.#surveying = true
    const exclude = new Set<string>()
    for (const line of this.#shut) exclude.add(line.key)
    for (const line of this.#ready) {
      line.unseen = true
      exclude.add(line.key)
    }
    effects.push({ type: 'survey', exclude, limit: this.#options.surveyLimit })
  }

  /** Slots for entries in hand. A server that stops gives the others back. */
  #serve(effects: Effect<C>[]): void {
    while (this.#slots.idle > 0) {
      const line = this.#turns.next(this.#now)
      if (line === undefined) break
      effects.push(this.#begin(line, this.#turns.take(line, this.#now)))
    }
    if (this.#draining) for (const line of this.#turns.holding) effects.push(this.#handBack(line))
  }

  #begin(line: Line<C>, claim: C): Effect<C> {
    const { destination, stream } = line
    line.busy += 1
    line.movedAt = this.#now
    destination.busy += 1
    destination.transport.busy += 1
    if (stream !== undefined) stream.busy += 1
    this.#slots.begin()
    return { type: 'begin', claim }
  }

  #end(line: Line<C>): void {
    const { destination, stream } = line
    if (destination.busy >= destination.window) destination.fullAt = this.#now
    line.busy -= 1
    destination.busy -= 1
    destination.taken -= 1
    destination.transport.busy -= 1
    destination.transport.taken -= 1
    if (stream !== undefined) stream.busy -= 1
    this.#slots.end(this.#now)
  }

  #handBack(line: Line<C>): Effect<C> {
    const claims = this.#turns.drop(line, this.#now)
    this.#take(line, -claims.length)
    return { type: 'hand-back', lane: line.key, claims }
  }

  /** Others may be waiting for the room of what comes too late. */
  #handBackIfClosed(line: Line<C>): Effect<C>[] | undefined {
    return line.waiting.length > 0 && isClosed(line) ? [this.#handBack(line)] : undefined
  }

  #promise(line: Line<C>, count: number): void {
    line.promised += count
    this.#take(line, count)
  }

  /** So many more, or fewer, of a line are in hand, promised or under way. */
  #take({ destination }: Line<C>, count: number): void {
    destination.taken += count
    destination.transport.taken += count
    this.#slots.count(destination)
  }

  /** A line without attempts, backlog or grudge is forgotten. */
  #forgetIdle(line: Line<C>): void {
    if (isIdle(line) && !this.#ready.has(line) && !this.#shut.has(line)) this.#book.forget(line)
  }

  /** A pause between two attempts may be over. */
  #turn(): readonly Effect<C>[] {
    const effects: Effect<C>[] = []
    const next = this.#rests.end(this.#now, (destination) => {
      destination.fullAt = this.#now
      this.#slots.count(destination)
      this.#book.forgetDestination(destination)
    })
    if (next !== undefined) effects.push({ type: 'turn', at: next })
    return this.#plan(effects)
  }
}
