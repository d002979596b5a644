/**
 * Whose mail goes next where slots of one transport are short: Postfix's preemptive job selection (SCHEDULER_README,
 * `qmgr_job.c`). A *job* is what waits of one message or stream; its *peers* are the lines it waits in. The first job
 * that can go is the current one, and big jobs let small ones pass: each entry of the current job that goes earns a part
 * of a slot, and for what it has earned, or borrowed, the best of those behind it goes first. So a small message hardly
 * notices a big one, and the big one is slowed down by a known part: (k+1)/k, or k/(k-1) where the small ones have
 * smaller ones behind them, for a slot cost of k.
 *
 * Pure: it knows neither time nor mail. Every question walks over the jobs in hand, which are few.
 */

export interface PreemptionRules {
  /** How many entries of the current job earn one slot for others. */
  readonly slotCost: number
  /** How many slots may be borrowed: others go earlier, and no more of them. */
  readonly slotLoan: number
  /** How much less than a job needs must have been earned before it may go, in percent. */
  readonly slotDiscount: number
  /** A job that can earn no more than so many slots lets nobody pass. */
  readonly minimumSlots: number
}

/** As Postfix has them. */
export const POSTFIX_PREEMPTION: PreemptionRules = { slotCost: 5, slotLoan: 3, slotDiscount: 50, minimumSlots: 3 }

/** Turn by turn: for each entry of a big job a small one may go, so that other mail has half of the slots if it needs them. */
export const EVEN_PREEMPTION: PreemptionRules = { ...POSTFIX_PREEMPTION, slotCost: 1 }

/** A line as the list sees it. Both fields are the list's. */
export interface Peer<P> {
  job: Job<P> | undefined
  /** How many entries of the line are listed. */
  listed: number
}

export interface Job<P> {
  readonly key: string
  /** Its place among the others, and what its age is counted from. */
  readonly since: number
  /** In the order of their turns. */
  readonly peers: P[]
  total: number
  selected: number
  /** Entries that went and have not paid for anybody yet; below zero: borrowed. */
  earned: number
  /** Entries that went since it passed its parent, less those it was expected to need. */
  overdrawn: number
  /** The job it has passed, and how deep in such passing it is. */
  parent: Job<P> | undefined
  level: number
  /** How many have passed it and are not done. */
  children: number
}

export class JobList<P extends Peer<P>> {
  readonly #rules: PreemptionRules
  readonly #isFree: (peer: P) => boolean
  readonly #jobs: Job<P>[] = []
  readonly #byKey = new Map<string, Job<P>>()

  /** `isFree`: whether an entry of the line may go now. */
  constructor(rules: PreemptionRules, isFree: (peer: P) => boolean) {
    this.#rules = rules
    this.#isFree = isFree
  }

  /** How many jobs wait. */
  get size(): number {
    return this.#jobs.length
  }

  /** Lists `count` more entries of a line, which must be of this job or of none. */
  add(key: string, peer: P, count: number, since: number): void {
    let job = this.#byKey.get(key)
    if (job === undefined) {
      job = {
        key,
        since,
        peers: [],
        total: 0,
        selected: 0,
        earned: 0,
        overdrawn: 0,
        parent: undefined,
        level: 0,
        children: 0,
      }
      this.#byKey.set(key, job)
      this.#insert(job)
    }
    if (peer.listed === 0) {
      peer.job = job
      job.peers.push(peer)
    }
    peer.listed += count
    job.total += count
  }

  /** Forgets what is listed of a line. */
  withdraw(peer: P): void {
    const { job } = peer
    if (job === undefined) return
    job.total -= peer.listed
    this.#unlist(peer, job)
  }

  /** The line whose listed entry goes now; undefined: none may. `now` is on the scale of `since`. */
  select(now: number): P | undefined {
    const current = this.#current()
    if (current < 0) return undefined
    const job = this.#preempt(current, now)
    const at = this.#freePeer(job)
    const peer = job.peers[at]!
    job.selected += 1
    job.earned += 1
    job.overdrawn += 1
    peer.listed -= 1
    if (peer.listed === 0) this.#unlist(peer, job)
    else if (job.peers.length > 1) job.peers.push(...job.peers.splice(at, 1))
    return peer
  }

  #unlist(peer: P, job: Job<P>): void {
    peer.job = undefined
    peer.listed = 0
    job.peers.splice(job.peers.indexOf(peer), 1)
    if (job.peers.length === 0) this.#retire(job)
  }

  /** Behind those that are older; where nobody has a priority that is the end. */
  #insert(job: Job<P>): void {
    let at = this.#jobs.length
    for (let index = at - 1; index >= 0; index--) {
      const other = this.#jobs[index]!
      if (other.parent !== undefined) continue
      if (other.since <= job.since) break
      at = index
    }
    this.#jobs.splice(at, 0, job)
  }

  #current(): number {
    for (let index = 0; index < this.#jobs.length; index++) if (this.#freePeer(this.#jobs[index]!) >= 0) return index
    return -1
  }

  #freePeer({ peers }: Job<P>): number {
    for (let index = 0; index < peers.length; index++) if (this.#isFree(peers[index]!)) return index
    return -1
  }

  /** The job that goes instead of the current one; the current one where none has earned its pass. */
  #preempt(at: number, now: number): Job<P> {
    const { slotCost, slotLoan, slotDiscount, minimumSlots } = this.#rules
    const current = this.#jobs[at]!
    if (current.earned <= 0 || current.total < minimumSlots * slotCost) return current
    const candidate = this.#candidate(at, now)
    if (candidate === undefined) return current
    const needed = candidate.total - candidate.selected
    const earned = Math.floor(current.earned / slotCost)
    if (earned + slotLoan < (needed * (100 - slotDiscount)) / 100) return current
    this.#leaveParent(candidate)
    this.#jobs.splice(this.#jobs.indexOf(candidate), 1)
    this.#jobs.splice(at, 0, candidate)
    candidate.parent = current
    candidate.level = current.level + 1
    current.children += 1
    // Paid at once, so that nobody else is let pass for the same slots. What is not used is given back.
    current.earned -= needed * slotCost
    candidate.overdrawn = -needed
    return candidate
  }

  /** Of the jobs behind the current one that it can still earn a pass for: the one waiting longest for its size. */
  #candidate(at: number, now: number): Job<P> | undefined {
    const current = this.#jobs[at]!
    const most = Math.floor((current.total - current.selected + current.earned) / this.#rules.slotCost)
    let best: Job<P> | undefined
    let bestScore = 0
    for (let index = at + 1; index < this.#jobs.length; index++) {
      const job = this.#jobs[index]!
      if (job.children > 0 || job.total - job.selected > most || this.#freePeer(job) < 0) continue
      const score = (now - job.since + 1) / job.total
      if (best !== undefined && score <= bestScore) continue
      best = job
      bestScore = score
    }
    return best
  }

  #retire(job: Job<P>): void {
    this.#leaveParent(job)
    if (job.children > 0) this.#giveChildren(job, undefined)
    this.#byKey.delete(job.key)
    this.#jobs.splice(this.#jobs.indexOf(job), 1)
  }

  /** What it has not used is given back to the job it has passed, which also takes over those who have passed it. */
  #leaveParent(job: Job<P>): void {
    const { parent } = job
    if (parent !== undefined) {
      if (job.level === parent.level + 1) parent.earned -= job.overdrawn * this.#rules.slotCost
      parent.children -= 1
    }
    if (job.children > 0) this.#giveChildren(job, parent)
    job.parent = undefined
    job.level = 0
  }

  #giveChildren(job: Job<P>, parent: Job<P> | undefined): void {
    for (const child of this.#jobs) if (child.parent === job) child.parent = parent
    if (parent !== undefined) parent.children += job.children
    job.children = 0
  }
}
