/** The outside world of a test, and what a server would lend a block in it. */
import type { Environment, Events, Scope } from '@mailwright/core'
import { type FakeDns, fakeDns } from './fake-dns.ts'
import { type ManualClock, manualClock } from './manual-clock.ts'
import { type MemoryNetwork, memoryNetwork } from './memory-network.ts'
import { type RecordedEvents, recordedEvents } from './recorded-events.ts'
import { type SeededRandom, seededRandom } from './seeded-random.ts'

export interface TestEnvironment extends Environment {
  readonly clock: ManualClock
  readonly random: SeededRandom
  readonly dns: FakeDns
  readonly net: MemoryNetwork
  /** Throws if connections, listeners or unexpected DNS questions are left over. */
  assertQuiet(): void
}

/**
 * A manual clock, a seeded random, a DNS that knows nothing and an empty network, except for what is given.
 *
 * @example
 * const world = testEnvironment({ dns: fakeDns({ 'example.org': { A: ['192.0.2.10'] } }) })
 */
export function testEnvironment(
  given: {
    readonly clock?: ManualClock
    readonly random?: SeededRandom
    readonly dns?: FakeDns
    readonly network?: MemoryNetwork
  } = {},
): TestEnvironment {
  const clock = given.clock ?? manualClock()
  const dns = given.dns ?? fakeDns({}, { clock })
  const net = given.network ?? memoryNetwork({ clock })
  return {
    clock,
    dns,
    net,
    random: given.random ?? seededRandom(1),
    assertQuiet(): void {
      net.assertQuiet()
      dns.assertQuiet()
    },
  }
}

export interface TestScope extends Scope {
  readonly events: RecordedEvents
  /** What background tasks failed with; each is a `failure` event too. */
  readonly failures: readonly unknown[]
  /** Names of background tasks under way. */
  readonly tasks: readonly string[]
  /** Aborts `signal`, as the end of a shutdown's grace time does. */
  abort(reason?: unknown): void
  /** Resolves when no background task is left. */
  idle(): Promise<void>
}

/**
 * A scope to create a block in, without a server.
 *
 * @example
 * const scope = testScope()
 * const queue = messageQueue(options).create(scope)
 */
export function testScope(
  given: { readonly name?: string; readonly environment?: Environment; readonly events?: RecordedEvents } = {},
): TestScope {
  const environment = given.environment ?? testEnvironment()
  const events = given.events ?? recordedEvents(environment.clock)
  const running = new Map<Promise<void>, string>()
  const failures: unknown[] = []
  const end = new AbortController()

  async function run(name: string, work: () => Promise<void>, events: Events): Promise<void> {
    try {
      await work()
    } catch (error) {
      // A task that ends because it was told to has not failed.
      if (end.signal.aborted && error === end.signal.reason) return
      failures.push(error)
      events.emit({ type: 'failure', where: name, error })
    }
  }

  return {
    name: given.name ?? 'test',
    environment,
    events,
    failures,
    signal: end.signal,
    get tasks(): readonly string[] {
      return [...running.values()]
    },
    task(name: string, work: () => Promise<void>): void {
      const done = run(name, work, events)
      running.set(done, name)
      void done.finally(() => running.delete(done))
    },
    abort(reason?: unknown): void {
      end.abort(reason ?? new Error('the test ended the scope'))
    },
    async idle(): Promise<void> {
      while (running.size > 0) await Promise.all(running.keys())
    },
  }
}
