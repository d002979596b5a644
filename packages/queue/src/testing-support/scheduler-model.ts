/**
 * A store of due times around a scheduler, and histories played on both: what the scheduler must never do, and what it
 * must never forget. Answers come late and may be stale: they are what the store held when it was asked, or when it
 * answers, as the history says.
 */
import type { LaneDue } from '@mailwright/core'
import { Scheduler, type SchedulerEvent, type SchedulerOptions } from '../scheduler.ts'

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
  /** The server stops. */
  | { readonly do: 'drain' }
  /** All that is under way comes to its end. */
  | { readonly do: 'rest' }

interface Mail {
  readonly lane: string
  dueAt: number
  claimed: boolean
}

type Question = () => (how: 'fresh' | 'stale' | 'failing') => void

const RETRY_MS = 700

export class SchedulerModel {
  readonly scheduler: Scheduler
  readonly #options: SchedulerOptions
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
  readonly #deadUntil = new Map<string, number>()
  #stalledUntil = 0
  #now = 0

  constructor(options: SchedulerOptions) {
    this.#options = options
    this.scheduler = new Scheduler(options)
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
    for (let turn = 0; turn < 100_000; turn++) {
      if (this.#questions.length > 0) this.play({ do: 'answer', which: 0, how: 'fresh' })
      else if (this.#attempts.length > 0) this.play({ do: 'finish', which: 0, how: 'ok' })
      else if (this.#wakeAt !== undefined && !this.#draining) this.#wait(Math.max(0, this.#wakeAt - this.#now))
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
    for (const { lane, claimed } of this.#mail) if (claimed) throw new Error(`mail of ${lane} is kept by nobody`)
  }

  /** With nothing under way only the clock can bring mail back: it must, and in time. */
  #checkNothingIsForgotten(): void {
    for (const { lane, dueAt } of this.#mail) {
      const expected = Math.max(dueAt, this.#deadUntil.get(lane) ?? 0, this.#stalledUntil)
      if (this.#wakeAt === undefined || this.#wakeAt > expected)
        throw new Error(`mail of ${lane} is due at ${expected}, and the next wake is at ${this.#wakeAt}`)
    }
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
        this.#tell({ type: 'placed', lane, now: this.#now })
      } else this.#tell({ type: 'stored', lane, now: this.#now })
    })
  }

  #store(lane: string, dueAt: number): Mail {
    const mail = { lane, dueAt, claimed: false }
    this.#mail.add(mail)
    return mail
  }

  #take(mail: Mail): void {
    mail.claimed = true
    this.#inHand.push(mail)
  }

  #begin(lane: string, count: number): void {
    const next = this.#inHand.filter((mail) => mail.lane === lane).slice(0, count)
    if (next.length < count) throw new Error(`${count} of ${lane} to begin, ${next.length} in hand`)
    this.#inHand = this.#inHand.filter((mail) => !next.includes(mail))
    this.#attempts.push(...next)
  }

  #handBack(lane: string): void {
    const back = this.#inHand.filter((mail) => mail.lane === lane)
    this.#inHand = this.#inHand.filter((mail) => mail.lane !== lane)
    if (back.length === 0) throw new Error(`nothing of ${lane} is in hand to hand back`)
    this.#return(lane, back)
  }

  #recall(lane: string, most: number): void {
    const back = this.#inHand.filter((mail) => mail.lane === lane).slice(-most)
    if (back.length === 0) return
    this.#inHand = this.#inHand.filter((mail) => !back.includes(mail))
    this.#tell({ type: 'recalled', lane, count: back.length, now: this.#now })
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
    this.#settling += 1
    this.#tell({ type: 'finished', lane: mail.lane, result, now: this.#now })
    this.#settle(mail, retryAt)
  }

  #settle(mail: Mail, retryAt: number | undefined): void {
    this.#ask(() => (how) => {
      if (how === 'failing') return this.#settle(mail, retryAt)
      this.#settling -= 1
      mail.claimed = false
      if (retryAt === undefined) this.#mail.delete(mail)
      else mail.dueAt = retryAt
      this.#tell({ type: 'settled', lane: mail.lane, retryAt, now: this.#now })
    })
  }

  #wait(ms: number): void {
    const until = this.#now + ms
    while (this.#wakeAt !== undefined && this.#wakeAt <= until) {
      this.#now = Math.max(this.#now, this.#wakeAt)
      this.#wakeAt = undefined
      this.#tell({ type: 'woken', now: this.#now })
      // A wake in the past would come again and again until the survey is answered.
      if (this.#wakeAt !== undefined && this.#wakeAt <= this.#now) break
    }
    this.#now = Math.max(this.#now, until)
  }

  /** Tells the scheduler, and does what it answers. Answers whether it granted a slot. */
  #tell(event: SchedulerEvent): boolean {
    let granted = false
    for (const effect of this.scheduler.step(event)) {
      if (this.#draining && ['grant', 'claim', 'survey'].includes(effect.type))
        throw new Error(`a ${effect.type} while the server stops`)
      if (effect.type === 'grant') granted = true
      else if (effect.type === 'wake') this.#wakeAt = Math.min(this.#wakeAt ?? effect.at, effect.at)
      else if (effect.type === 'dead') this.#deadUntil.set(effect.lane, effect.until)
      else if (effect.type === 'alive') this.#deadUntil.delete(effect.lane)
      else if (effect.type === 'begin') this.#begin(effect.lane, effect.count)
      else if (effect.type === 'hand-back') this.#handBack(effect.lane)
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
        this.#tell({ type: 'claimed', lane, asked, got: early.length, now: this.#now })
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
    return [...this.#mail].filter((mail) => mail.lane === lane && !mail.claimed && mail.dueAt <= this.#now)
  }

  #lanesDue(exclude: ReadonlySet<string>, until: number): LaneDue[] {
    const earliest = new Map<string, number>()
    for (const { lane, dueAt, claimed } of this.#mail)
      if (!claimed && !exclude.has(lane) && dueAt <= until)
        earliest.set(lane, Math.min(dueAt, earliest.get(lane) ?? dueAt))
    return [...earliest].map(([lane, dueAt]) => ({ lane, dueAt })).sort((one, other) => one.dueAt - other.dueAt)
  }

  #check(): void {
    const { maxAttempts, limit, ahead, aheadOfAll } = this.#options
    const { taken } = this.scheduler
    const most = maxAttempts + aheadOfAll + (ahead === 0 ? 0 : maxAttempts)
    if (this.#attempts.length > maxAttempts) throw new Error(`${this.#attempts.length} attempts at once`)
    if (taken > most) throw new Error(`${taken} taken, of ${most}`)
    if (this.#settling > 2 * maxAttempts) throw new Error(`${this.#settling} attempts wait for the store`)
    const ours = this.#attempts.length + this.#inHand.length + this.#reserved + this.#asked
    if (taken !== ours) throw new Error(`${taken} taken by its count, ${ours} by ours`)
    for (const [lane, attempts] of perLane(this.#attempts))
      if (attempts > limit) throw new Error(`${attempts} attempts in ${lane}`)
    for (const [lane, waiting] of perLane(this.#inHand))
      if (waiting > limit + ahead) throw new Error(`${waiting} in hand for ${lane}`)
    this.#checkNobodyWaitsInVain()
  }

  /** What is in hand waits only for a slot. */
  #checkNobodyWaitsInVain(): void {
    if (Math.max(this.#attempts.length, this.#settling) >= this.#options.maxAttempts) return
    const attempts = perLane(this.#attempts)
    for (const [lane] of perLane(this.#inHand))
      if (!attempts.has(lane)) throw new Error(`mail of ${lane} is in hand and nothing of it is tried`)
  }
}

function perLane(mail: readonly Mail[]): Map<string, number> {
  const count = new Map<string, number>()
  for (const { lane } of mail) count.set(lane, (count.get(lane) ?? 0) + 1)
  return count
}

function laneName(number: number): string {
  return `smtp:${number}.example`
}
