/**
 * One next hop: the errands that wait for it and the connections that take them. Connections pull their work; this
 * decides when another one is made (see dispatch-policy.ts). When none can be made and none is left, everybody who
 * waits gets the reason as outcome: the queue's scheduler knows what to do with a dead destination.
 */
import type { Call, DeliveryJob, Environment, Outcome, Recipient, RecipientId, Scope, Timer } from '@mailwright/core'
import type { AbortWatch } from './abort-watch.ts'
import { ClientConnection } from './client-connection.ts'
import type { ConnectionOwner } from './connection-owner.ts'
import { deferred } from './delivery.ts'
import { nextMove, PATIENCE_MS, worthStaging } from './dispatch-policy.ts'
import { Errand, type ErrandHolder } from './errand.ts'
import type { Journey } from './handshake.ts'
import { openConnection } from './open-connection.ts'
import type { Settings } from './options.ts'
import type { TicketBox } from './ticket-box.ts'
import type { Way } from './way.ts'

/** After a connection could not be had while there are others, none is tried for so long: they have a limit, it seems. */
const PAUSE_MS = 10_000

/** What a destination tells the pool. */
export interface DestinationOwner {
  /** Whether idle connections are kept. */
  readonly phase: 'running' | 'draining' | 'stopped'
  /** Where callers are listened to who give up. */
  readonly watch: AbortWatch
  /** Where TLS sessions are remembered. */
  readonly tickets: TicketBox
  /** A connection exists from now on, for whoever must close everything. */
  opened(connection: ClientConnection): void
  closed(connection: ClientConnection): void
  /** The destination that a way leads to. */
  by(way: Way): Destination
  /** Nobody waits and no connection is left. */
  deserted(destination: Destination): void
}

/** A server that could not be had says nothing of recipients whom another has put off. */
function isLastWord(outcome: Outcome): boolean {
  return outcome.status !== 'deferred' || (outcome.remote !== undefined && outcome.scope !== 'destination')
}

export class Destination implements ConnectionOwner, ErrandHolder {
  readonly way: Way
  readonly #settings: Settings
  readonly #scope: Scope
  readonly #environment: Environment
  readonly #owner: DestinationOwner
  readonly #waiting: Errand[] = []
  /** The last used at the end, so that those not needed grow old. */
  readonly #idle: ClientConnection[] = []
  readonly #busy = new Set<ClientConnection>()
  readonly #opening = new Set<AbortController>()
  #answerMs = 0
  #pausedUntil = 0
  /** What became of the last connection to be made. */
  #lastOpening: 'open' | 'failed' = 'open'
  #patience: Timer | undefined
  #dispatching: 'no' | 'yes' = 'no'

  constructor(way: Way, settings: Settings, scope: Scope, owner: DestinationOwner) {
    this.way = way
    this.#settings = settings
    this.#scope = scope
    this.#environment = scope.environment
    this.#owner = owner
  }

  /** Delivers to these recipients of a job. Rejects only when the caller aborts. */
  submit(job: DeliveryJob, recipients: readonly Recipient[], call: Call): Promise<ReadonlyMap<RecipientId, Outcome>> {
    const errand = new Errand(job, recipients, call, this.#environment.clock.now(), this, this.#owner.watch)
    this.#waiting.push(errand)
    this.#dispatch()
    return errand.done
  }

  abandon(errand: Errand): void {
    const place = this.#waiting.indexOf(errand)
    if (place < 0) {
      for (const connection of this.#busy) if (connection.abandon(errand)) return
      return
    }
    this.#waiting.splice(place, 1)
    // Nobody is left to connect for.
    if (this.#waiting.length === 0) for (const opening of this.#opening) opening.abort(errand.call.signal.reason)
  }

  /** Sends idle connections home; busy ones follow when they find no more work. */
  drain(): void {
    for (const connection of [...this.#idle]) connection.retire()
  }

  /** Ends what is not on a connection yet: the pool closes connections. */
  stop(): void {
    this.#patience?.cancel()
    for (const opening of this.#opening) opening.abort(new Error('the transport has stopped'))
    this.#settleWaiting(deferred('message', '4.3.2', 'the mail system is shutting down'))
  }

  next(connection: ClientConnection): Errand | 'retire' | undefined {
    const errand = this.#waiting.shift()
    if (errand !== undefined) return errand
    if (this.#owner.phase !== 'running') return 'retire'
    this.#busy.delete(connection)
    this.#idle.push(connection)
    return undefined
  }

  behind(): Errand | undefined {
    return worthStaging(this.#answerMs) ? this.#waiting.shift() : undefined
  }

  answered(ms: number): void {
    this.#answerMs = this.#answerMs === 0 ? ms : this.#answerMs + (ms - this.#answerMs) / 4
  }

  returned(errand: Errand): void {
    if (this.#owner.phase === 'stopped') {
      errand.settle(deferred('message', '4.3.2', 'the mail system is shutting down'))
      return
    }
    // What ended one connection has ended those kept beside it, as far as we know: the second try gets a new one.
    for (const connection of [...this.#idle]) connection.retire()
    this.#waiting.unshift(errand)
  }

  /** As Postfix does: who is put off by one server is tried at the next, within `maxSessions`. */
  unfinished(errand: Errand, postponed: readonly Recipient[], label: string): void {
    const { avoiding = new Set() } = this.way
    if (errand.abandoned) return
    if (this.#owner.phase === 'stopped' || avoiding.size + 1 >= this.#settings.maxSessions) {
      errand.settle()
      return
    }
    const key = `${this.way.key} not ${label}`
    const others = this.#owner.by({ ...this.way, key, avoiding: new Set([...avoiding, label]) })
    const answers = others.submit(errand.job, postponed, errand.call)
    this.#scope.task(`${this.#settings.name}: next exchanger of ${this.way.destination}`, async () => {
      try {
        const outcomes = await answers
        errand.correct(new Map([...outcomes].filter(([, outcome]) => isLastWord(outcome))))
        errand.settle()
      } catch (error) {
        // The caller aborted, and knows.
        if (!errand.abandoned) throw error
      }
    })
  }

  leaving(connection: ClientConnection): void {
    this.#busy.delete(connection)
    const place = this.#idle.indexOf(connection)
    if (place >= 0) this.#idle.splice(place, 1)
    this.#dispatch()
  }

  closed(connection: ClientConnection): void {
    this.#owner.closed(connection)
  }

  /** Gives waiting errands to connections, or makes connections for them, until the policy says to wait. */
  #dispatch(): void {
    // A connection given work may ask for more before it returns.
    if (this.#dispatching === 'yes') return
    this.#dispatching = 'yes'
    for (let move = this.#move(); move !== 'wait'; move = this.#move()) {
      if (move === 'open') this.#open()
      else if (move === 'reuse') this.#reuse()
      else this.#stage()
    }
    this.#dispatching = 'no'
    if (this.#waiting.length > 0) this.#bePatient()
    else if (this.#busy.size === 0 && this.#idle.length === 0 && this.#opening.size === 0) this.#desert()
  }

  #move(): ReturnType<typeof nextMove> {
    const first = this.#waiting[0]
    if (first === undefined) return 'wait'
    const now = this.#environment.clock.now()
    let ready = 0
    let soon = 0
    for (const connection of this.#busy) {
      if (connection.ready) ready++
      else if (connection.soonReady) soon++
    }
    return nextMove({
      waiting: this.#waiting.length,
      idle: this.#idle.length,
      ready,
      soon,
      opening: this.#opening.size,
      open: this.#busy.size + this.#idle.length,
      limit: this.#settings.maxConnections,
      answerMs: this.#answerMs,
      waitedMs: now - first.since,
      mayOpen: now < this.#pausedUntil || this.#isDoubtful() ? 'no' : 'yes',
    })
  }

  /**
   * One could not be made, others are being made, none is left: whoever waits waits for those. With new ones to hope
   * for each time an old one fails, nobody would ever be told.
   */
  #isDoubtful(): boolean {
    const sessions = this.#busy.size + this.#idle.length
    return this.#lastOpening === 'failed' && sessions === 0 && this.#opening.size > 0
  }

  #reuse(): void {
    const connection = this.#idle.pop()!
    this.#busy.add(connection)
    connection.work(this.#waiting.shift()!)
  }

  #stage(): void {
    for (const connection of this.#busy) {
      if (connection.ready) {
        connection.stage(this.#waiting.shift()!)
        return
      }
    }
  }

  #open(): void {
    const opening = new AbortController()
    this.#opening.add(opening)
    this.#scope.task(`${this.#settings.name}: connect to ${this.way.destination}`, async () => {
      const opened = await openConnection(this.#journey({ signal: opening.signal }), this.#scope.events)
      this.#opening.delete(opening)
      if (opened.status === 'failed') return this.#openFailed(opened.outcome)
      const { session, further } = opened
      this.#lastOpening = 'open'
      const { clock } = this.#environment
      const connection = new ClientConnection(session, further, this.#settings, clock, this, (work) =>
        this.#scope.task(`${this.#settings.name}: send to ${session.label}`, work),
      )
      this.#owner.opened(connection)
      if (this.#owner.phase === 'stopped') return connection.stop()
      this.#busy.add(connection)
      connection.work()
      this.#dispatch()
    })
  }

  #journey(call: Call): Journey {
    const { tickets } = this.#owner
    return { way: this.way, settings: this.#settings, environment: this.#environment, tickets, call }
  }

  #openFailed(outcome: Outcome): void {
    this.#lastOpening = 'failed'
    const others = this.#busy.size + this.#idle.length + this.#opening.size
    if (others > 0) this.#pausedUntil = this.#environment.clock.now() + PAUSE_MS
    else this.#settleWaiting(outcome)
    this.#dispatch()
  }

  #settleWaiting(outcome: Outcome): void {
    for (const errand of this.#waiting.splice(0)) errand.settle(outcome)
  }

  /** Looks again when time alone may change what to do; whatever else may, dispatches by itself. */
  #bePatient(): void {
    const { clock } = this.#environment
    const now = clock.now()
    const at = this.#pausedUntil > now ? this.#pausedUntil : this.#waiting[0]!.since + PATIENCE_MS
    if (at <= now) return
    this.#patience ??= clock.after(at - now, () => {
      this.#patience = undefined
      this.#dispatch()
    })
  }

  #desert(): void {
    this.#patience?.cancel()
    this.#patience = undefined
    this.#owner.deserted(this)
  }
}
