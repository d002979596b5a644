/**
 * What happens between a connection and its greeting where protocol tests are configured: a look at who has passed them
 * before, and for the others a pause with the first half of the greeting said (postscreen's teaser). A look-up that is
 * slower than the pause, or fails, is as good as none.
 */
import type { Awaitable } from '@mailwright/core'
import type { ProtocolTestConfig } from './options.ts'
import type { ProtocolTest, ProtocolTests } from './protocol-tests.ts'

export interface GreetingPause {
  readonly tests: ProtocolTests
  readonly config: ProtocolTestConfig
  readonly address: string
  /** Says the first half. */
  readonly teaser: () => void
  /** Calls back after the pause. */
  readonly wait: (then: () => void) => void
  /** Ends the pause and greets. */
  readonly greet: () => void
  readonly bug: (error: unknown) => void
}

/** Greets, at once or after the pause. */
export function beforeGreeting({ tests, config, address, teaser, wait, greet, bug }: GreetingPause): void {
  let greeted = false
  const go = (): void => {
    if (greeted) return
    greeted = true
    greet()
  }
  const known = lookUp(config, address, bug)
  if (known !== undefined && !(known instanceof Promise)) tests.skip(known)
  const toWait = config.greetDelayMs > 0 && tests.pending('earlyTalker')
  if (known instanceof Promise) {
    known.then(
      (passed) => {
        tests.skip(passed)
        if (!tests.pending('earlyTalker')) go()
      },
      (error: unknown) => bug(error),
    )
  }
  if (!toWait) {
    go()
    return
  }
  teaser()
  wait(go)
}

/** Remembers what a client has passed. Nobody waits for it. */
export function notePassed(
  { passed, passedForMs }: ProtocolTestConfig,
  address: string,
  tests: readonly ProtocolTest[],
  now: number,
  bug: (error: unknown) => void,
): void {
  if (passed === undefined) return
  for (const test of tests) {
    try {
      const noted = passed.note(address, test, now + passedForMs[test])
      if (noted instanceof Promise) noted.catch(bug)
    } catch (error) {
      bug(error)
    }
  }
}

/** Whether a test is over when the greeting is complete. */
export function beforeCommands(test: ProtocolTest): boolean {
  return test === 'earlyTalker'
}

function lookUp(
  { passed }: ProtocolTestConfig,
  address: string,
  bug: (error: unknown) => void,
): Awaitable<ReadonlySet<ProtocolTest>> | undefined {
  try {
    return passed?.of(address)
  } catch (error) {
    bug(error)
    return undefined
  }
}
