/**
 * A store of due times around a scheduler, and histories played on both: what the scheduler must never do, and what it
 * must never forget. Answers come late and may be stale: they are what the store held when it was asked, or when it
 * answers, as the history says.
 */
import { destinationKey, type LaneDue } from '@mailwright/core'
import type { Manners } from '../destination.ts'
import { Scheduler, type SchedulerEvent, type SchedulerOptions } from '../scheduler.ts'
import type { InHand } from '../scheduler-events.ts'

export type Step =
  /** A message arrives for a lane; it is stored once `answer` comes to it. */
  | { readonly do: 'arrive'; readonly lane: number }
  /** Mail that is due later appears, by other hands. */
  | { readonly do: 'appear'; readonly lane: number; readonly inMs: number }
  /** The store answers one of the questions put to it. */
  | { readonly do: 'answer'; readonly which: number; readonly how: 'stale' | 'fresh' | 'failing' }
  /** An attempt ends; it is settled once `answer` comes to it. A settlement that fails is tried again. */
  | { readonly do: 'finish'; readonly which: number; readonly how: 'ok' | 'deferred' | 'unreachable' | 'lost' }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'flush' }
  /** An operator changes mail that is in hand: it goes back to the store. */
  | { readonly do: 'recall'; readonly lane: number; readonly count: number }
  /** The destination of a lane asks to be left alone. */
  | { readonly do: 'pause'; readonly lane: number; readonly ms: number }
  /** An operator keeps these lanes, or all mail, from being tried. */
  | { readonly do: 'suspend'; readonly lanes: readonly number[] | 'all' }
  /** An attempt that is about to begin is kept back, by some limit: for good, or until it is let go. */
  | { readonly do: 'keep-back'; readonly which: number; readonly how: 'return' | 'let-go' }
  /** The server stops. */
  | { readonly do: 'drain' }
  /** All that is under way comes to its end. */
  | { readonly do: 'rest' }

interface Mail extends InHand {
  readonly entry: { readonly message: string; readonly lane: string; dueAt: number }
  claimed: boolean
}

/** Some of the destinations take mail with pauses, when the options say so. */
export interface ModelOptions extends SchedulerOptions {
  readonly manners?: Readonly<Record<number, Manners>>
}

type Question = () => (how: 'fresh' | 'stale' | 'failing') => void

const RETRY_MS = 700
/** Lines of one destination. */
const MOST_LINES = 3

export class SchedulerModel {
  readonly scheduler: Scheduler<Mail>
  readonly #options: ModelOptions
  readonly #mail = new Set<Mail>()
  #attempts: Mail[] = []
  /** Claimed, waiting for a slot. */
  #inHand: Mail[] = []
  #questions: ReturnType<Question>[] = []
  #settling = 0
  #draining = false
  #reserved = 0
  #asked = 0
  #wakeAt: number | undefined
  #turnAt: number | undefined
  #messages = 0
  #suspended: ReadonlySet<string> | 'all' = new Set()
  #transportRestsUntil = 0
  /** What was let go comes beyond all room. */
  #letGo = 0
  readonly #restsUntil = new Map<string, number>()
  readonly #deadUntil = new Map<string, number>()
  #stalledUntil = 0
  #now = 0

  constructor(options: ModelOptions) {
    this.#options = options
    this.scheduler = new Scheduler<Mail>({ ...options, mannersOf: (key) => this.#mannersOf(key) })
    this.#tell({ type: 'woken', now: 0 })
  }

  play(step: Step): void {
    if (step.do === 'arrive') this.#arrive(laneName(step.lane))
    else if (step.do === 'appear') {
      this.#store(laneName(step.lane), this.#now + step.inMs)
      this.#tell({ type: 'woken', now: this.#now })
    } else if (step.do === 'answer') {
      const [answer] = this.#questions.splice(step.which % Math.max(1, this.#questions.length), 1)
      answer?.(step.how)
    } else if (step.do === 'finish') {
      const [mail] = this.#attempts.splice(step.which % Math.max(1, this.#attempts.length), 1)
      if (mail) this.#finish(mail, step.how)
    } else if (step.do === 'wait') this.#wait(step.ms)
    else if (step.do === 'flush') this.#tell({ type: 'flushed', now: this.#now })
    else if (step.do === 'recall') this.#recall(laneName(step.lane), step.count)
    else if (step.do === 'pause')
      this.#tell({ type: 'paused', lane: laneName(step.lane), until: this.#now + step.ms, now: this.#now })
    else if (step.do === 'suspend') this.#suspend(step.lanes === 'all' ? 'all' : new Set(step.lanes.map(laneName)))
    else if (step.do === 'keep-back') this.#keepBack(step.which, step.how)
    else if (step.do === 'drain') {
      this.#draining = true
      this.#tell({ type: 'draining', now: this.#now })
    } else this.#rest()
    this.#check()
    if (this.#questions.length > 0 || this.#attempts.length > 0) return
    if (this.#draining) this.#checkNothingIsKept()
    else this.#checkNothingIsForgotten()
  }

  /**
   * Everything gets through from now on. Answers what is left at the end: nothing, if nothing was forgotten. After a
   * `drain` it answers with nothing too, if all mail that is left is in the store and nobody's.
   */
  playOut(): { readonly mail: number; readonly taken: number; readonly lanes: number; readonly questions: number } {
    this.play({ do: 'suspend', lanes: [] })
    for (let turn = 0; turn < 100_000; turn++) {
      const next = this.#nextTime()
      if (this.#questions.length > 0) this.play({ do: 'answer', which: 0, how: 'fresh' })
      else if (this.#attempts.length > 0) this.play({ do: 'finish', which: 0, how: 'ok' })
      else if (next !== undefined && !this.#draining) this.#wait(Math.max(0, next - this.#now))
      else break
    }
    const { taken, lanes } = this.scheduler
    if (!this.#draining) return { mail: this.#mail.size, taken, lanes, questions: this.#questions.length }
    this.#checkNothingIsKept()
    return { mail: 0, taken, lanes: 0, questions: this.#questions.length }
  }

  #rest(): void {
    for (let turn = 0; turn < 10_000; turn++) {
      if (this.#questions.length > 0) this.play({ do: 'answer', which: 0, how: 'stale' })
      else if (this.#attempts.length > 0) this.play({ do: 'finish', which: 0, how: 'ok' })
      else return
    }
  }

  /** Nothing is under way, and the server stops: all mail that is left is there for the next start. */
  #checkNothingIsKept(): void {
    for (const { entry, claimed } of this.#mail) if (claimed) throw new Error(`mail of ${entry.lane} is kept by nobody`)
  }

  /** With nothing under way only the clock can bring mail back: it must, and in time. */
  #checkNothingIsForgotten(): void {
    const next = this.#nextTime()
    for (const { entry } of this.#mail) {
      if (this.#isSuspended(entry.lane)) continue
      const key = destinationKey(entry.lane)
      const left = Math.max(this.#deadUntil.get(key) ?? 0, this.#restsUntil.get(key) ?? 0, this.#transportRestsUntil)
      const expected = Math.max(entry.dueAt, left, this.#stalledUntil)
      if (next === undefined || next > expected)
        throw new Error(`mail of ${entry.lane} is due at ${expected}, and the next wake is at ${next}`)
    }
  }

  #nextTime(): number | undefined {
    const next = Math.min(this.#wakeAt ?? Number.POSITIVE_INFINITY, this.#turnAt ?? Number.POSITIVE_INFINITY)
    return next === Number.POSITIVE_INFINITY ? undefined : next
  }

  #isSuspended(lane: string): boolean {
    if (this.#suspended === 'all') return true
    return this.#suspended.has(lane) || this.#suspended.has(destinationKey(lane))
  }

  #suspend(lanes: ReadonlySet<string> | 'all'): void {
    this.#suspended = lanes
    this.#tell({ type: 'suspended', lanes, now: this.#now })
  }

  #keepBack(which: number, how: 'return' | 'let-go'): void {
    const [mail] = this.#attempts.splice(which % Math.max(1, this.#attempts.length), 1)
    if (mail === undefined) return
    const { lane } = mail.entry
    this.#restsUntil.delete(destinationKey(lane))
    this.#tell({ type: 'kept-back', lane, now: this.#now })
    this.#ask(() => () => {
      if (how === 'let-go' && !this.#draining) {
        this.#inHand.push(mail)
        this.#letGo += 1
        this.#tell({ type: 'let-go', claim: mail, now: this.#now })
      } else {
        mail.claimed = false
        this.#tell({ type: 'stored', lane, now: this.#now })
      }
    })
  }

  #arrive(lane: string): void {
    const granted = this.#tell({ type: 'offered', lane, now: this.#now })
    if (granted) this.#reserved += 1
    this.#ask(() => (how) => {
      if (granted) this.#reserved -= 1
      if (how === 'failing') {
        if (granted) this.#tell({ type: 'withdrawn', lane, now: this.#now })
        return
      }
      const mail = this.#store(lane, this.#now)
      if (granted) {
        this.#take(mail)
        this.#tell({ type: 'placed', claim: mail, now: this.#now })
      } else this.#tell({ type: 'stored', lane, now: this.#now })
    })
  }

  #store(lane: string, dueAt: number): Mail {
    this.#messages += 1
    // Now and then a message has several entries.
    const message = `m${Math.floor(this.#messages / 3)}`
    const options = this.#messages % 7 === 0 ? { priority: (this.#messages % 5) - 2 } : {}
    const mail: Mail = { entry: { message, lane, dueAt }, options, claimed: false }
    this.#mail.add(mail)
    return mail
  }

  #take(mail: Mail): void {
    mail.claimed = true
    this.#inHand.push(mail)
  }

  #begin(mail: Mail): void {
    const at = this.#inHand.indexOf(mail)
    const { lane } = mail.entry
    if (at < 0) throw new Error(`mail of ${lane} begins that is not in hand`)
    this.#inHand.splice(at, 1)
    const key = destinationKey(lane)
    if ((this.#deadUntil.has(key) || this.#isSuspended(lane)) && !this.#draining)
      throw new Error(`an attempt at ${key}, which is left alone`)
    const rests = Math.max(this.#restsUntil.get(key) ?? 0, this.#transportRestsUntil)
    if (rests > this.#now) throw new Error(`an attempt at ${key}, which rests until ${rests}`)
    this.#attempts.push(mail)
  }

  #handBack(lane: string, claims: readonly Mail[]): void {
    for (const mail of claims) {
      const at = this.#inHand.indexOf(mail)
      if (at < 0 || mail.entry.lane !== lane) throw new Error(`mail to hand back that is not in hand`)
      this.#inHand.splice(at, 1)
    }
    if (this.#inHand.some(({ entry }) => entry.lane === lane)) throw new Error(`more of ${lane} is in hand`)
    if (claims.length === 0) throw new Error(`nothing of ${lane} is handed back`)
    this.#return(lane, claims)
  }

  #recall(lane: string, most: number): void {
    const back = this.#inHand.filter(({ entry }) => entry.lane === lane).slice(-most)
    if (back.length === 0) return
    this.#inHand = this.#inHand.filter((mail) => !back.includes(mail))
    this.#tell({ type: 'recalled', lane, claims: new Set(back), now: this.#now })
    this.#return(lane, back)
  }

  #return(lane: string, back: readonly Mail[]): void {
    this.#ask(() => () => {
      for (const mail of back) mail.claimed = false
      this.#tell({ type: 'stored', lane, now: this.#now })
    })
  }

  #finish(mail: Mail, how: 'ok' | 'deferred' | 'unreachable' | 'lost'): void {
    const retryAt = how === 'ok' || how === 'lost' ? undefined : this.#now + RETRY_MS
    const result = how === 'unreachable' ? how : 'answered'
    const { lane } = mail.entry
    const { rateDelayMs = 0, transportRateDelayMs = 0 } = this.#mannersOf(lane)
    this.#settling += 1
    if (rateDelayMs > 0) this.#restsUntil.set(destinationKey(lane), this.#now + rateDelayMs)
    if (transportRateDelayMs > 0) this.#transportRestsUntil = this.#now + transportRateDelayMs
    this.#tell({ type: 'finished', lane, result, now: this.#now })
    this.#settle(mail, retryAt)
  }

  #settle(mail: Mail, retryAt: number | undefined): void {
    this.#ask(() => (how) => {
      if (how === 'failing') return this.#settle(mail, retryAt)
      this.#settling -= 1
      mail.claimed = false
      if (retryAt === undefined) this.#mail.delete(mail)
      else mail.entry.dueAt = retryAt
      this.#tell({ type: 'settled', lane: mail.entry.lane, retryAt, now: this.#now })
    })
  }

  #wait(ms: number): void {
    const until = this.#now + ms
    for (let next = this.#nextTime(); next !== undefined && next <= until; next = this.#nextTime()) {
      this.#now = Math.max(this.#now, next)
      if (next === this.#turnAt) {
        this.#turnAt = undefined
        this.#tell({ type: 'turn', now: this.#now })
      } else {
        this.#wakeAt = undefined
        this.#tell({ type: 'woken', now: this.#now })
      }
      // A wake in the past would come again and again until the survey is answered.
      if (this.#wakeAt !== undefined && this.#wakeAt <= this.#now) break
    }
    this.#now = Math.max(this.#now, until)
    if (this.#turnAt !== undefined && this.#turnAt <= this.#now) {
      this.#turnAt = undefined
      this.#tell({ type: 'turn', now: this.#now })
    }
  }

  /** Tells the scheduler, and does what it answers. Answers whether it granted a slot. */
  #tell(event: SchedulerEvent<Mail>): boolean {
    let granted = false
    for (const effect of this.scheduler.step(event)) {
      if (this.#draining && ['grant', 'claim', 'survey'].includes(effect.type))
        throw new Error(`a ${effect.type} while the server stops`)
      if (effect.type === 'grant') granted = true
      else if (effect.type === 'wake') this.#wakeAt = Math.min(this.#wakeAt ?? effect.at, effect.at)
      else if (effect.type === 'dead') this.#deadUntil.set(effect.lane, effect.until)
      else if (effect.type === 'alive') this.#deadUntil.delete(effect.lane)
      else if (effect.type === 'turn') this.#turnAt = Math.min(this.#turnAt ?? effect.at, effect.at)
      else if (effect.type === 'begin') this.#begin(effect.claim)
      else if (effect.type === 'hand-back') this.#handBack(effect.lane, effect.claims)
      else if (effect.type === 'claim') this.#askForMail(effect.lane, effect.limit)
      else if (effect.type === 'survey') this.#askForLanes(effect.exclude, effect.limit)
    }
    return granted
  }

  #askForMail(lane: string, asked: number): void {
    this.#asked += asked
    this.#ask(() => {
      const claim = (): Mail[] => {
        const got = this.#due(lane).slice(0, asked)
        for (const mail of got) mail.claimed = true
        return got
      }
      // A stale answer is one the store gave at once and that took its time to arrive.
      const early = claim()
      return (how) => {
        this.#asked -= asked
        if (how === 'failing') {
          for (const mail of early) mail.claimed = false
          return this.#stall(lane, asked)
        }
        if (how === 'fresh') {
          for (const mail of early) mail.claimed = false
          early.splice(0, early.length, ...claim())
        }
        for (const mail of early) this.#take(mail)
        this.#tell({ type: 'claimed', lane, asked, claims: early, now: this.#now })
      }
    })
  }

  #askForLanes(exclude: ReadonlySet<string>, limit: number): void {
    this.#ask(() => {
      const answer = (): { lanes: readonly LaneDue[]; nextDue: number | undefined } => {
        const lanes = this.#lanesDue(exclude, this.#now).slice(0, limit)
        const known = new Set([...exclude, ...lanes.map((each) => each.lane)])
        return { lanes, nextDue: this.#lanesDue(known, Number.POSITIVE_INFINITY)[0]?.dueAt }
      }
      const early = answer()
      return (how) => {
        if (how === 'failing') this.#stall(undefined, 0)
        else this.#tell({ type: 'surveyed', ...(how === 'stale' ? early : answer()), now: this.#now })
      }
    })
  }

  #stall(lane: string | undefined, asked: number): void {
    const about = lane === undefined ? {} : { lane }
    this.#stalledUntil = this.#now + 100
    this.#tell({ type: 'stalled', ...about, asked, retryAt: this.#stalledUntil, now: this.#now })
  }

  #ask(question: Question): void {
    this.#questions.push(question())
  }

  #due(lane: string): Mail[] {
    return [...this.#mail].filter(({ entry, claimed }) => entry.lane === lane && !claimed && entry.dueAt <= this.#now)
  }

  #lanesDue(exclude: ReadonlySet<string>, until: number): LaneDue[] {
    const earliest = new Map<string, number>()
    for (const { entry, claimed } of this.#mail) {
      const { lane, dueAt } = entry
      if (!claimed && !exclude.has(lane) && dueAt <= until)
        earliest.set(lane, Math.min(dueAt, earliest.get(lane) ?? dueAt))
    }
    return [...earliest].map(([lane, dueAt]) => ({ lane, dueAt })).sort((one, other) => one.dueAt - other.dueAt)
  }

  #check(): void {
    const { maxAttempts, limit, ahead, aheadOfAll } = this.#options
    const { taken } = this.scheduler
    const most = maxAttempts + aheadOfAll + (ahead === 0 ? 0 : maxAttempts)
    if (this.#attempts.length > maxAttempts) throw new Error(`${this.#attempts.length} attempts at once`)
    if (taken > most + this.#letGo) throw new Error(`${taken} taken, of ${most}`)
    if (this.#settling > 2 * maxAttempts) throw new Error(`${this.#settling} attempts wait for the store`)
    const ours = this.#attempts.length + this.#inHand.length + this.#reserved + this.#asked
    if (taken !== ours) throw new Error(`${taken} taken by its count, ${ours} by ours`)
    const waiting = perDestination(this.#inHand)
    for (const [key, attempts] of perDestination(this.#attempts))
      if (attempts > this.#mannersOf(key).limit) throw new Error(`${attempts} attempts at ${key}`)
    for (const [key, entries] of waiting)
      if (entries > limit + ahead + MOST_LINES + this.#letGo) throw new Error(`${entries} in hand for ${key}`)
    this.#checkNobodyWaitsInVain()
  }

  /** What is in hand waits only for a slot, and so does what is ready. */
  #checkNobodyWaitsInVain(): void {
    const storeInTrouble = this.#stalledUntil > this.#now
    if (this.#questions.length === 0 && !storeInTrouble && this.scheduler.waitingSince(this.#now + 1) > 0)
      throw new Error('mail waits, there are slots, and nobody does anything')
    if (Math.max(this.#attempts.length, this.#settling) >= this.#options.maxAttempts) return
    if (this.#attempts.length > 0 && this.#someRest()) return
    const attempts = perDestination(this.#attempts)
    for (const [key] of perDestination(this.#inHand)) {
      const rests = Math.max(this.#restsUntil.get(key) ?? 0, this.#transportRestsUntil) > this.#now
      if (!attempts.has(key) && !rests) throw new Error(`mail of ${key} is in hand and nothing of it is tried`)
    }
  }

  /** Whether one attempt may keep all others waiting. */
  #someRest(): boolean {
    return Object.values(this.#options.manners ?? {}).some(({ transportRateDelayMs }) => transportRateDelayMs)
  }

  #mannersOf(lane: string): Manners {
    return this.#options.manners?.[Number(/\d/.exec(lane)?.[0])] ?? this.#options
  }
}

function perDestination(mail: readonly Mail[]): Map<string, number> {
  const count = new Map<string, number>()
  for (const { entry } of mail) {
    const key = destinationKey(entry.lane)
    count.set(key, (count.get(key) ?? 0) + 1)
  }
  return count
}

/** Two destinations have lines of streams beside the common one; a stream may have several destinations. */
function laneName(number: number): string {
  if (number < 3) return `smtp:${number}.example`
  return number === 3 ? 'smtp/sale:0.example' : `smtp/${number === 4 ? 'news' : 'sale'}:1.example`
}
