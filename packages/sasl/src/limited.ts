/**
 * An authenticator that has enough of wrong guesses: failures are counted per client network and per login, and beyond a limit
 * every attempt is answered `454 4.7.0` (RFC 4954 §6), right password or not, until the window is over. 454 rather than
 * 535, because a mail program that is told 535 asks its user for another password, or forgets the one it has. Who wants
 * such clients gone sets `answer: 'close'`, and they get `421 4.7.0`.
 */
import {
  type AuthenticationContext,
  type AuthenticationExchange,
  type AuthenticationStep,
  type Authenticator,
  type Block,
  type Call,
  type Duration,
  milliseconds,
  type Refusal,
  reply,
  type Scope,
  type Session,
} from '@mailwright/core'
import { clientNetwork } from './client-network.ts'
import { endedExchange, type Verdict } from './exchange.ts'
import { type FailureCount, failureCount } from './failure-count.ts'

export interface LimitedOptions {
  /** The authenticator that is limited. */
  readonly authenticator: Authenticator
  /** Failures of one client network, a /24 of IPv4 or a /64 of IPv6, before it is answered no more. Default 20. */
  readonly perNetwork?: number | undefined
  /**
   * Failures of one login, from anywhere, before it is answered no more. Default 50. Networks where the login was right within
   * the last `trust` are not held to this: others cannot lock a user out of its own home.
   */
  readonly perLogin?: number | undefined
  /** From the first failure until all are forgotten. Default `'15m'`. */
  readonly window?: Duration | undefined
  /** Default `'7d'`. */
  readonly trust?: Duration | undefined
  /** Most networks, logins and trusted pairs remembered, of each. Default 100,000. */
  readonly maxEntries?: number | undefined
  /** `defer`: 454, and the client may go on. `close`: 421, and the connection ends. Default `defer`. */
  readonly answer?: 'defer' | 'close' | undefined
}

const TOO_MANY = 'Too many failed attempts, try again later'

/**
 * Limits wrong guesses. Counts die with the process and are not shared between processes.
 *
 * @example
 * const auth = mta.use(limited({ authenticator: passwords, perNetwork: 10, window: '1h' }))
 */
export function limited(options: LimitedOptions): Block<Authenticator> {
  const { authenticator } = options
  return { name: `limited ${authenticator.name}`, create: (scope) => create(scope, options) }
}

function create({ environment: { clock } }: Scope, options: LimitedOptions): Authenticator {
  const { authenticator, perNetwork = 20, perLogin = 50, maxEntries = 100_000 } = options
  const windowMs = milliseconds(options.window ?? '15m')
  const networks = failureCount(clock, windowMs, maxEntries)
  const logins = failureCount(clock, windowMs, maxEntries)
  const trusted: FailureCount = failureCount(clock, milliseconds(options.trust ?? '7d'), maxEntries)
  const answer: Refusal = options.answer === 'close' ? reply(421, '4.7.0', TOO_MANY) : reply(454, '4.7.0', TOO_MANY)

  function refusal(user: string | undefined): Verdict {
    return { kind: 'failure', reason: 'too many failed attempts', user, reply: answer }
  }

  /** Counts how an attempt ended, and hides it where the limit is reached. */
  function judged(step: Exclude<AuthenticationStep, { kind: 'challenge' }>, network: string): Verdict {
    // A back end out of order tells nothing about the client.
    if (step.kind === 'failure' && step.reply !== undefined && step.reply.code < 500) return step
    const login = step.user?.toLowerCase()
    const pair = `${network} ${login}`
    const loginOver = login !== undefined && logins.count(login) >= perLogin && trusted.count(pair) === 0
    // The network is asked again: many attempts may have begun at once.
    const over = loginOver || networks.count(network) >= perNetwork
    if (step.kind === 'failure') {
      networks.add(network)
      if (login !== undefined) logins.add(login)
    } else if (!over) trusted.renew(pair)
    return over ? refusal(step.user) : step
  }

  return {
    name: authenticator.name,
    mechanisms: (session: Session) => authenticator.mechanisms(session),
    begin(mechanism: string, context: AuthenticationContext, call: Call): AuthenticationExchange {
      const network = clientNetwork(context.session.client.address)
      if (networks.count(network) >= perNetwork) return endedExchange(refusal(undefined))
      const exchange = authenticator.begin(mechanism, context, call)
      let answered: 'nothing' | 'something' | 'all' = 'nothing'
      return {
        async step(response: Uint8Array | undefined): Promise<AuthenticationStep> {
          const step = await exchange.step(response)
          if (step.kind !== 'challenge') {
            answered = 'all'
            return judged(step, network)
          }
          if (response !== undefined) answered = 'something'
          return step
        },
        cancel(): void {
          // A challenge may have told that a token is wrong: who leaves then has guessed too.
          if (answered === 'something') networks.add(network)
          answered = 'all'
          exchange.cancel()
        },
      }
    },
  }
}
