/**
 * The workers of a server and whoever looks after them: starts one for each seat, says once where they listen, starts
 * again what has died, and ends all of them in order.
 *
 * A worker that dies is started again in its seat after 100 ms, then twice as long each time up to 30 s; one that has
 * served for a minute begins anew. The first start is different: a worker that says it cannot start (port taken, spool
 * owned by another) ends the whole crew, as it would a server of one process. What it does not do: know processes,
 * sockets or mail.
 */
import { type Clock, type Duration, MailwrightError, milliseconds, type Timer } from '@mailwright/core'
import type { Worker } from './worker.ts'

/** What a worker tells its crew. */
export type WorkerReport =
  | { readonly kind: 'listening'; readonly url: string }
  /** All of it has started. */
  | { readonly kind: 'ready' }
  /** It could not start, and is about to end. */
  | { readonly kind: 'failed'; readonly problem: string }

/** A process as its crew sees it. */
export interface WorkerProcess {
  /** Asks it to finish what is in hand and to end. */
  stop(): void
  /** Ends it now. */
  kill(): void
}

export interface WorkerFate {
  heard(report: WorkerReport): void
  /** Once, and the last that is heard of it. `how` is for people: `signal SIGKILL`, `exit code 1`. */
  ended(how: string): void
}

export interface CrewOptions {
  /** Workers, 1 at least. */
  readonly count: number
  /** Starts the process of a seat. */
  readonly start: (worker: Worker, fate: WorkerFate) => WorkerProcess
  readonly clock: Clock
  /** Called once for each place where the workers listen, when all of them do, or have died trying. */
  readonly announce: (url: string) => void
  /** Called with what an operator should know, one line each. */
  readonly remark: (line: string) => void
  /** How long workers may take to stop before they are killed. Default 15 s: more than a server's own grace. */
  readonly patience?: Duration | undefined
}

interface Seat {
  readonly worker: Worker
  process: WorkerProcess | undefined
  restart: Timer | undefined
  startedAt: number
  /** Whether somebody in this seat has ever been ready. */
  proven: 'no' | 'yes'
  /** Deaths in a row. */
  deaths: number
  problem: string | undefined
}

const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 30_000
/** Who has served so long did not die of its start. */
const SETTLED_MS = 60_000

export class Crew {
  readonly #options: CrewOptions
  readonly #seats: readonly Seat[]
  /** Seats that have neither been ready nor died yet: before, nothing is announced. */
  readonly #awaited: Set<Seat>
  readonly #urls = new Set<string>()
  readonly #announced = new Set<string>()
  readonly #over = Promise.withResolvers<void>()
  #phase: 'serving' | 'stopping' = 'serving'
  #failure: MailwrightError | undefined
  #patience: Timer | undefined

  constructor(options: CrewOptions) {
    const { count } = options
    if (!Number.isSafeInteger(count) || count < 1)
      throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `not a number of workers: ${count}`)
    this.#options = options
    this.#seats = Array.from({ length: count }, (_, index) => ({
      worker: { index, count },
      process: undefined,
      restart: undefined,
      startedAt: 0,
      proven: 'no',
      deaths: 0,
      problem: undefined,
    }))
    this.#awaited = new Set(this.#seats)
  }

  /**
   * Serves until the signal aborts, and resolves when the last worker has ended.
   *
   * @throws MailwrightError `ERR_MAILWRIGHT_STOPPED` with what a worker said that could not start for the first time.
   */
  async run(until: AbortSignal): Promise<void> {
    const stop = (): void => this.#stop()
    if (until.aborted) return
    until.addEventListener('abort', stop, { once: true })
    for (const seat of this.#seats) this.#start(seat)
    try {
      await this.#over.promise
    } finally {
      until.removeEventListener('abort', stop)
      this.#patience?.cancel()
    }
    if (this.#failure !== undefined) throw this.#failure
  }

  #start(seat: Seat): void {
    seat.restart = undefined
    seat.problem = undefined
    seat.startedAt = this.#options.clock.now()
    seat.process = this.#options.start(seat.worker, {
      heard: (report) => this.#heard(seat, report),
      ended: (how) => this.#ended(seat, how),
    })
  }

  #heard(seat: Seat, report: WorkerReport): void {
    if (report.kind === 'failed') seat.problem = report.problem
    else if (report.kind === 'listening') this.#urls.add(report.url)
    else {
      seat.proven = 'yes'
      this.#awaited.delete(seat)
    }
    this.#announce()
  }

  #ended(seat: Seat, how: string): void {
    seat.process = undefined
    this.#awaited.delete(seat)
    if (this.#phase === 'stopping') this.#resolveWhenEmpty()
    else if (seat.problem !== undefined && seat.proven === 'no') this.#fail(seat.problem)
    else {
      this.#announce()
      this.#restartLater(seat, how)
    }
  }

  #restartLater(seat: Seat, how: string): void {
    const { clock, remark } = this.#options
    seat.deaths = clock.now() - seat.startedAt >= SETTLED_MS ? 1 : seat.deaths + 1
    const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** (seat.deaths - 1), LONGEST_PAUSE_MS)
    const why = seat.problem === undefined ? '' : `: ${seat.problem}`
    remark(`worker ${seat.worker.index} ended by ${how}${why}; it starts again in ${pauseMs} ms`)
    seat.restart = clock.after(pauseMs, () => this.#start(seat))
  }

  #announce(): void {
    if (this.#awaited.size > 0 || this.#phase === 'stopping') return
    for (const url of this.#urls) {
      if (this.#announced.has(url)) continue
      this.#announced.add(url)
      this.#options.announce(url)
    }
  }

  #fail(problem: string): void {
    this.#failure = new MailwrightError('ERR_MAILWRIGHT_STOPPED', problem)
    this.#stop()
  }

  #stop(): void {
    if (this.#phase === 'stopping') return
    this.#phase = 'stopping'
    for (const { process, restart } of this.#seats) {
      restart?.cancel()
      process?.stop()
    }
    this.#patience = this.#options.clock.after(milliseconds(this.#options.patience ?? '15s'), () => {
      for (const { process } of this.#seats) process?.kill()
    })
    this.#resolveWhenEmpty()
  }

  #resolveWhenEmpty(): void {
    if (this.#seats.every(({ process }) => process === undefined)) this.#over.resolve()
  }
}
