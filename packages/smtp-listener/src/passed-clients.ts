/**
 * Which clients have passed which protocol tests, so that known mail servers neither wait nor are tested again.
 * In memory here; several servers may share one by another implementation, so that the answer may take its time.
 * A look-up that fails or takes long is as good as "nothing": the client is tested.
 */
import type { Awaitable, Clock } from '@mailwright/core'
import type { ProtocolTest } from './protocol-tests.ts'

export interface PassedClients {
  /** The tests the client at this address need not take now. Asked once per connection, before the greeting. */
  of(address: string): Awaitable<ReadonlySet<ProtocolTest>>
  /** The client has passed a test; that is good until `until`, ms since the epoch. Nobody waits for it. */
  note(address: string, test: ProtocolTest, until: number): Awaitable<void>
}

const NONE: ReadonlySet<ProtocolTest> = new Set()

/**
 * Remembers at most `most` clients (default 100,000); who has not been heard of for longest is forgotten first.
 *
 * @example
 * smtpListener({ intake, port: 25, protocolTests: { earlyTalker: 'enforce', greetDelay: '6s', passed: passedClients(clock) } })
 */
export function passedClients(clock: Clock, options: { readonly most?: number } = {}): PassedClients {
  const most = options.most ?? 100_000
  /** The longest unheard of first. */
  const clients = new Map<string, Map<ProtocolTest, number>>()
  return {
    of(address): ReadonlySet<ProtocolTest> {
      const tests = clients.get(address)
      if (tests === undefined) return NONE
      clients.delete(address)
      const now = clock.now()
      for (const [test, until] of tests) if (until <= now) tests.delete(test)
      if (tests.size === 0) return NONE
      clients.set(address, tests)
      return new Set(tests.keys())
    },
    note(address, test, until): void {
      const tests = clients.get(address) ?? new Map<ProtocolTest, number>()
      clients.delete(address)
      if (clients.size >= most) {
        const oldest = clients.keys().next()
        if (oldest.done !== true) clients.delete(oldest.value)
      }
      clients.set(address, tests.set(test, until))
    },
  }
}
