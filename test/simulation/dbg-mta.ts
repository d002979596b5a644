/**
 * A mail server as a value: blocks, an environment and a lifecycle. Blocks start in the order they were added; they
 * drain and stop in reverse, so that listeners end before the queue, and the queue before its transports.
 * What it does not do: configuration, logging, anything about mail.
 */
import {
  type Block,
  type Duration,
  type Environment,
  type Events,
  type Lifecycle,
  MailwrightError,
  milliseconds,
  type Scope,
} from '@mailwright/core'
import { BackgroundWork } from '../../packages/kernel/src/background-work.ts'
import { EventHub } from '../../packages/kernel/src/event-hub.ts'
import { systemEnvironment } from '../../packages/kernel/src/system-environment.ts'

export interface MtaOptions {
  /** Names the server in events. Default `mailwright`. */
  readonly name?: string
  /** Parts of the outside world to replace; the rest is the real one. */
  readonly environment?: Partial<Environment>
  /** How long `stop` waits for work in hand. Default 10 s. */
  readonly grace?: Duration
}

export interface Mta {
  readonly name: string
  readonly environment: Environment
  readonly events: Events
  /** Adds a block and gives back its handle. Only before `start`. */
  use<H>(block: Block<H>): H
  /** Starts every block, in order. If one fails, those before it are stopped and the error is thrown. */
  start(): Promise<void>
  /** Drains, then stops every block, in reverse. Safe to call twice. Afterwards nothing keeps the process alive. */
  stop(): Promise<void>
  /** Starts, waits for the signal, stops. */
  run(until: AbortSignal): Promise<void>
}

interface Member {
  readonly name: string
  readonly lifecycle: Lifecycle
}

/**
 * Makes a server. Two servers in one process share nothing.
 *
 * @example
 * const mta = createMta({ name: 'edge' })
 * const queue = mta.use(messageQueue({ store: lmdbStore({ directory: './spool' }), router, transports }))
 * await mta.run(shutdownSignal())
 */
export function createMta(options: MtaOptions = {}): Mta {
  const name = options.name ?? 'mailwright'
  const environment: Environment = { ...systemEnvironment(), ...options.environment }
  const graceMs = milliseconds(options.grace ?? '10s')
  const events = new EventHub(environment.clock)
  const shutdown = new AbortController()
  const work = new BackgroundWork(events)
  const members: Member[] = []
  const scope: Scope = { name, environment, events, signal: shutdown.signal, task: (what, run) => work.run(what, run) }
  let phase: 'assembling' | 'started' | 'stopped' = 'assembling'
  let stopping: Promise<void> | undefined

  function use<H>(block: Block<H>): H {
    if (phase !== 'assembling') {
      throw new MailwrightError('ERR_MAILWRIGHT_STOPPED', `${block.name} was added after ${name} had started`)
    }
    const made = block.create(scope)
    members.push({ name: block.name, lifecycle: made })
    return made
  }

  async function start(): Promise<void> {
    if (phase !== 'assembling') throw new MailwrightError('ERR_MAILWRIGHT_STOPPED', `${name} can be started only once`)
    phase = 'started'
    for (const [index, member] of members.entries()) {
      try {
        await member.lifecycle.start?.({ signal: shutdown.signal })
      } catch (error) {
        members.length = index
        await stop()
        throw error
      }
    }
  }

  function stop(): Promise<void> {
    stopping ??= stopOnce()
    return stopping
  }

  async function stopOnce(): Promise<void> {
    const started = phase === 'started'
    phase = 'stopped'
    const last = members.toReversed()
    if (started) await drain(last)
    shutdown.abort(new MailwrightError('ERR_MAILWRIGHT_STOPPED', `${name} is shutting down`))
    if (started) for (const member of last) await attempt(member, 'stop', () => member.lifecycle.stop?.())
    console.log(name,'work'); await work.finished(); console.log(name,'all done')
  }

  async function drain(last: readonly Member[]): Promise<void> {
    const patience = new AbortController()
    const timer = environment.clock.after(graceMs, () =>
      patience.abort(new MailwrightError('ERR_MAILWRIGHT_TIMEOUT', 'grace time is over')),
    )
    for (const member of last) {
      await attempt(member, 'drain', () => member.lifecycle.drain?.({ signal: patience.signal }))
    }
    timer.cancel()
  }

  /** One block that cannot end well must not keep the others from ending. */
  async function attempt(member: Member, what: string, run: () => Promise<void> | undefined): Promise<void> {
    try {
      console.log(name, what, member.name); await run(); console.log('  done', name, what, member.name)
    } catch (error) {
      events.emit({ type: 'failure', where: `${what} of ${member.name}`, error })
    }
  }

  async function run(until: AbortSignal): Promise<void> {
    await start()
    if (!until.aborted)
      await new Promise<void>((resolve) => until.addEventListener('abort', () => resolve(), { once: true }))
    await stop()
  }

  return { name, environment, events, use, start, stop, run }
}
