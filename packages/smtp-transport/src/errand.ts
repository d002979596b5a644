/**
 * One message on its way to one destination: the job, the recipients it is for, what became of each, and the promise
 * somebody waits for. It always ends: `settle` when every recipient has an outcome, or a rejection on abort.
 */
import type { Call, DeliveryJob, Outcome, Recipient, RecipientId } from '@mailwright/core'
import type { AbortWatch } from './abort-watch.ts'

/** Where an errand is given up when its caller aborts. */
export interface ErrandHolder {
  abandon(errand: Errand): void
}

export class Errand {
  readonly job: DeliveryJob
  readonly recipients: readonly Recipient[]
  readonly call: Call
  readonly done: Promise<ReadonlyMap<RecipientId, Outcome>>
  /** When it was handed in, ms since the epoch. */
  readonly since: number
  /** Whether a connection was lost under it before it had said anything: that is forgiven once. */
  retried = false
  readonly #outcomes = new Map<RecipientId, Outcome>()
  readonly #holder: ErrandHolder
  readonly #watch: AbortWatch
  #state: 'open' | 'settled' | 'abandoned' = 'open'
  #resolve!: (outcomes: ReadonlyMap<RecipientId, Outcome>) => void
  #reject!: (reason: unknown) => void

  constructor(
    job: DeliveryJob,
    recipients: readonly Recipient[],
    call: Call,
    since: number,
    holder: ErrandHolder,
    watch: AbortWatch,
  ) {
    this.job = job
    this.recipients = recipients
    this.call = call
    this.since = since
    this.#holder = holder
    this.#watch = watch
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    watch.add(this)
  }

  get abandoned(): boolean {
    return this.#state === 'abandoned'
  }

  /** Records what became of a recipient. The first word counts. */
  record(recipient: Recipient, outcome: Outcome): void {
    if (!this.#outcomes.has(recipient.id)) this.#outcomes.set(recipient.id, outcome)
  }

  /** Whether something is known of a recipient. */
  knows(recipient: Recipient): boolean {
    return this.#outcomes.has(recipient.id)
  }

  /** Another server had the last word on some of the recipients. */
  correct(outcomes: ReadonlyMap<RecipientId, Outcome>): void {
    for (const [id, outcome] of outcomes) this.#outcomes.set(id, outcome)
  }

  /** Ends the errand: those without an outcome get this one. */
  settle(rest?: Outcome): void {
    if (this.#state !== 'open') return
    this.#state = 'settled'
    this.#watch.remove(this)
    if (rest !== undefined) for (const recipient of this.recipients) this.record(recipient, rest)
    this.#resolve(this.#outcomes)
  }

  /** The caller gave up. */
  giveUp(): void {
    if (this.#state !== 'open') return
    this.#state = 'abandoned'
    this.#watch.remove(this)
    this.#reject(this.call.signal.reason)
    this.#holder.abandon(this)
  }
}
