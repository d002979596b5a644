/** Several authenticators as one. Each mechanism belongs to the first that offers it: a user is looked for in one place. */
import type { AuthenticationContext, AuthenticationExchange, Authenticator, Call, Session } from '@mailwright/core'
import { endedExchange, malformed } from './exchange.ts'

/**
 * Several in order. A second place to look for the same kind of user is not a second authenticator but a second
 * look-up: write it into the function of `userTable`.
 *
 * @example
 * auth: authenticators([passwords, tokens, certificates])
 */
export function authenticators(all: readonly Authenticator[]): Authenticator {
  return {
    name: all.map(({ name }) => name).join('+'),
    mechanisms: (session: Session) => [...new Set(all.flatMap((one) => one.mechanisms(session)))],
    begin(mechanism: string, context: AuthenticationContext, call: Call): AuthenticationExchange {
      const one = all.find((each) => each.mechanisms(context.session).includes(mechanism))
      return one?.begin(mechanism, context, call) ?? endedExchange(malformed('mechanism not offered'))
    },
  }
}
