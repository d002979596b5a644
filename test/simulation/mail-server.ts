/**
 * A host on which a mail server runs, dies, is restarted by hand or in good order, and always finds its store again.
 * What the server is made of is a blueprint; this knows lives, the plan of failures, and the ledger.
 */
import {
  type Environment,
  type Events,
  formatMailbox,
  hasCode,
  type MailEvent,
  type MessageSource,
  type QueueStore,
  type Random,
  sleep,
} from '@mailwright/core'
import type { Mta } from '@mailwright/kernel'
import { fieldValue } from '@mailwright/message'
import { between, chance } from './dice.ts'
import type { Ledger } from './ledger.ts'
import { beginLife, type Life, never, type Surroundings } from './life.ts'
import { senderOf } from './mailboxes.ts'
import { type MortalStore, mortalStore, type Side, type StoreWitness } from './mortal-store.ts'
import type { Crash, ServerPlan } from './scenario.ts'

/** What a life of a server is made of. */
export interface Blueprint {
  readonly environment: Environment
  readonly store: QueueStore
  readonly life: Life
}

export interface MailServerOptions {
  /** The keeper's name in the ledger, and the first label of the host name. */
  readonly name: string
  readonly plan: ServerPlan
  readonly surroundings: Surroundings
  readonly random: Random & { fork(label: string): Random }
  /** What survives: opened and closed by each life in turn. */
  readonly store: QueueStore
  readonly ledger: Ledger
  readonly build: (blueprint: Blueprint) => Mta
  /** Why the server's answer on the connection from this port may be lost. */
  readonly excuse: (port: number) => string | undefined
  /** Whether storage may fail now. */
  readonly troubled: () => 'yes' | 'no'
  readonly tell: (what: string) => void
  readonly heard: (event: MailEvent) => void
  /** Something went wrong that never may. */
  readonly problem: (what: string) => void
  /** Somebody who chooses the moment of a crash himself, and how long the disk takes. */
  readonly adversary?: Adversary | undefined
}

/** What `mortalStore` asks; the delay is in ms. */
export interface Adversary {
  passing(operation: string, side: Side): void
  lag(operation: string, side: Side): number
}

/** The field by which a stored message tells the connection it came by. */
export const WIRE_MARK = 'X-Wire'
const RESTART_MS = 2_000
const LONGEST_LAG_MS = 20_000
const STEADFAST = new AbortController().signal

export class MailServer {
  readonly #options: MailServerOptions
  readonly #crashes: Crash[]
  #life: Life | undefined
  #mta: Mta | undefined
  #store: MortalStore | undefined
  #lives = 0
  #crashed = 0
  #restarts = 0
  #failures = 0
  #busy: 'no' | 'yes' = 'no'
  #stopping = false

  constructor(options: MailServerOptions) {
    this.#options = options
    this.#crashes = [...options.plan.crashes]
  }

  /** Whether it runs and is not about to stop. */
  get up(): boolean {
    return this.#life?.alive === true && this.#busy === 'no'
  }

  get crashed(): number {
    return this.#crashed
  }

  get restarts(): number {
    return this.#restarts
  }

  /** Failures of the store that the weather made. */
  get failures(): number {
    return this.#failures
  }

  /** Starts in a moment. Nobody can wait for it: it may die on the way. */
  begin(): void {
    this.#later(0)
  }

  async #boot(): Promise<void> {
    const { plan, surroundings, random, tell, adversary } = this.#options
    this.#busy = 'yes'
    this.#stopping = false
    const number = ++this.#lives
    const life = beginLife(surroundings, random.fork(`life ${number}`))
    const storage = random.fork(`storage ${number}`)
    const store = mortalStore({
      inner: this.#options.store,
      life,
      witness: this.#witness(),
      crash: this.#crashes.shift(),
      fails: () => {
        const fails = this.#options.troubled() === 'yes' ? chance(storage, plan.storeFailures) : 'no'
        if (fails === 'yes') this.#failures += 1
        return fails
      },
      passing: adversary && ((operation, side) => adversary.passing(operation, side)),
      lag: (operation, side) => {
        const slow = adversary?.lag(operation, side) ?? 0
        if (slow > 0) return sleep(life.environment.clock, slow, STEADFAST)
        if (chance(storage, this.#options.troubled() === 'yes' ? plan.storeLag : 0) === 'no') return undefined
        return sleep(life.environment.clock, between(storage, 1, LONGEST_LAG_MS), STEADFAST)
      },
      die: (why, crash) => this.#die(why, crash.downForMs),
    })
    const mta = this.#options.build({ environment: life.environment, store, life })
    this.#listen(mta.events, life)
    this.#life = life
    this.#mta = mta
    this.#store = store
    tell(`life ${number} begins`)
    await mta.start()
    if (life.alive) this.#busy = 'no'
  }

  /** Stops in good order, and must leave nothing behind. Does nothing while it is down. */
  async stop(): Promise<void> {
    const { tell, problem, name } = this.#options
    const [life, mta] = [this.#life, this.#mta]
    if (!this.up || life === undefined || mta === undefined) return
    this.#busy = 'yes'
    tell('stops')
    this.#stopping = true
    await mta.stop()
    // It crashed on the way, and another life is on its way already.
    if (!life.alive) return never()
    if (life.timers > 0) problem(`${name}: ${life.timers} timers left after stop`)
    life.end()
    tell('has stopped')
  }

  async restart(): Promise<void> {
    if (!this.up) return
    await this.stop()
    this.#restarts += 1
    this.#later(RESTART_MS)
  }

  /** Dies of something else than its store, if it lives. */
  crash(why: string, downForMs: number): void {
    if (this.#life?.alive === true) this.#die(why, downForMs)
  }

  /** The process is gone between two instructions. */
  #die(why: string, downForMs: number): void {
    const { ledger, name, store, tell, problem } = this.#options
    const ended = this.#store
    tell(`crashes ${why}`)
    this.#crashed += 1
    this.#busy = 'yes'
    ledger.crashed(name)
    this.#life?.end()
    // What had reached the disk is there; then the disk belongs to nobody.
    void ended
      ?.quiet()
      .then(() => store.close())
      .catch((error: unknown) => problem(`closing: ${String(error)}`))
    this.#later(downForMs)
  }

  #later(ms: number): void {
    const { surroundings, problem, name, tell } = this.#options
    surroundings.clock.after(ms, () => {
      this.#boot().catch((error: unknown) => {
        if (!hasCode(error, 'ERR_MAILWRIGHT_STORE')) return problem(`${name} does not start: ${String(error)}`)
        // As a service manager does.
        tell(`does not start, and is started again: ${String(error)}`)
        this.#life?.end()
        this.#later(RESTART_MS)
      })
    })
  }

  /** Keeps the ledger by what the store has done. */
  #witness(): StoreWitness {
    const { ledger, name, excuse } = this.#options
    return {
      put: (message, source) => {
        const from = senderOf(source.head, 1)
        const port = Number(fieldValue(source.head, WIRE_MARK))
        const recipients = message.entries.flatMap((entry) =>
          entry.recipients.map(({ address }) => formatMailbox(address)),
        )
        // The client of a server that stops is cut off when the grace time is over, answered or not.
        const stopping = this.#stopping
        const copy = {
          place: `${name} ${message.id}`,
          excuse: () => (stopping ? 'the server was stopping' : excuse(port)),
        }
        for (const recipient of recipients) ledger.copied(from, recipient, copy)
        ledger.took({ keeper: name, id: message.id }, messageIdOf(source), recipients)
      },
      settled: (claim, settlement) => {
        const holding = { keeper: name, id: claim.entry.message }
        const { also } = settlement
        for (const { id, address } of claim.entry.recipients) {
          const recipient = formatMailbox(address)
          const outcome = settlement.outcomes.get(id)
          if (outcome === undefined || outcome.status === 'deferred') ledger.deferred(holding, recipient)
          else if (outcome.status === 'ok') ledger.released(holding, recipient, 'passed on')
          else ledger.released(holding, recipient, also === undefined ? 'dropped' : 'returned')
        }
        if (also === undefined) return
        const recipients = also.message.entries.flatMap((entry) =>
          entry.recipients.map(({ address }) => formatMailbox(address)),
        )
        ledger.took({ keeper: name, id: also.message.id }, messageIdOf(also.source), recipients)
      },
    }
  }

  #listen(events: Events, life: Life): void {
    events.subscribe((event) => {
      if (life.alive) this.#options.heard(event)
    })
  }
}

function messageIdOf(source: MessageSource): string {
  return fieldValue(source.head, 'Message-ID') ?? ''
}
