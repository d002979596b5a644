/**
 * A router that refuses addresses on a suppression list before it looks where they go: those the client names, and those
 * an alias stands for.
 *
 * The refusal is `550 5.7.1`: the mailbox may well exist, but nothing is to be sent to it, which RFC 3463 §3.8 calls
 * delivery not authorized, by filtering per recipient. Mail of the null sender goes through: it answers what the address
 * itself has sent. A list that cannot be read makes the recipient temporary.
 */
import {
  type Awaitable,
  type Call,
  type Clock,
  type Mailbox,
  type Router,
  type Routing,
  reply,
  type Suppression,
  type SuppressionList,
} from '@mailwright/core'

const SUPPRESSED: Routing = { kind: 'refuse', reply: reply(550, '5.7.1', 'Recipient is on the suppression list') }

/**
 * Puts a suppression list before a router. A queue with `suppressions` does so by itself; an intake that asks the same
 * router refuses suppressed recipients at RCPT.
 *
 * @example
 * const router = suppressing(createRouter({ local: ['example.org'] }), suppressions, environment.clock)
 */
export function suppressing(router: Router, suppressions: SuppressionList, clock: Clock): Router {
  return {
    route(address: Mailbox, sender: Mailbox | null, call: Call): Awaitable<Routing> {
      if (sender === null) return router.route(address, sender, call)
      const found = suppressions.find(address, clock.now())
      const go = (suppression: Suppression | undefined): Awaitable<Routing> =>
        suppression === undefined ? router.route(address, sender, call) : SUPPRESSED
      return found instanceof Promise ? found.then(go) : go(found)
    },
    destination: (...asked) => router.destination(...asked),
  }
}
