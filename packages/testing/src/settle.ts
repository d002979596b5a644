/**
 * Waiting for a program to come to rest: all promise callbacks have run, no stream or in-memory wire has anything under
 * way, no file operation of Node is pending. It waits for what happens inside the process only: a real socket or a
 * native worker is not seen, so `busy` lets the test name such work.
 */
import { MailwrightError } from '@mailwright/core'

/** Rounds of the event loop without any sign of work before we call it quiet. */
const QUIET_ROUNDS = 3
/** A program that is still busy then is in a loop: better an error than a test that hangs. */
const MOST_ROUNDS = 1_000_000

/**
 * Resolves when the program has come to rest.
 *
 * @param busy what else to wait for: called each round, true means "something is still under way".
 * @throws MailwrightError `ERR_MAILWRIGHT_UNEXPECTED` when it does not come to rest in a million rounds.
 * @example
 * wire.write('NOOP\r\n')
 * await settle() // the server has answered
 */
export async function settle(busy?: () => boolean): Promise<void> {
  let quiet = 0
  for (let round = 0; quiet < QUIET_ROUNDS; round++) {
    if (round === MOST_ROUNDS)
      throw new MailwrightError('ERR_MAILWRIGHT_UNEXPECTED', 'the program does not come to rest: something loops')
    await new Promise<void>((resolve) => setImmediate(resolve))
    quiet = workIsPending() || busy?.() === true ? 0 : quiet + 1
  }
}

/** Whether the event loop holds work that ends by itself, as against sockets and timers that may wait for ever. */
function workIsPending(): boolean {
  for (const kind of process.getActiveResourcesInfo())
    if (kind === 'Immediate' || kind.includes('Req') || kind.endsWith('Job')) return true
  return false
}
