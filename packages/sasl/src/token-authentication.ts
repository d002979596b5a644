/** Clients that hold an OAuth token: OAUTHBEARER (RFC 7628) and XOAUTH2, over anything that can tell whose token it is. */
import type {
  AuthenticationContext,
  AuthenticationExchange,
  Authenticator,
  Block,
  Call,
  Scope,
  Session,
} from '@mailwright/core'
import { backEndCall, tell } from './back-end.ts'
import { type BackEndCall, type MayActAs, nobodyElse } from './credentials.ts'
import { endedExchange, malformed, runExchange } from './exchange.ts'
import { oauthBearer, type TokenVerdict, xoauth2 } from './mechanisms/bearer.ts'

/** A place that knows whose tokens are whose. */
export interface Tokens {
  /** Names it in events. */
  readonly name: string
  /** Whose token it is. Rejects when it cannot tell; the client is then answered 454. */
  check(token: string, call: BackEndCall): Promise<TokenVerdict>
}

export type TokenMechanism = 'OAUTHBEARER' | 'XOAUTH2'

export interface TokenAuthenticationOptions {
  readonly tokens: Tokens
  /** In order of preference. Default both. Only over TLS. */
  readonly mechanisms?: readonly TokenMechanism[] | undefined
  /** What a client whose token is refused is told to ask its provider for. */
  readonly scope?: string | undefined
  /** Who may act as another user than the token's. Default: nobody. */
  readonly mayActAs?: MayActAs | undefined
}

const NOTHING: readonly string[] = []

/**
 * An authenticator for OAuth tokens.
 *
 * @example
 * const tokens = jwks({ url: 'https://id.example.org/keys', issuer: 'https://id.example.org', audience: 'smtp' })
 * const auth = mta.use(tokenAuthentication({ tokens }))
 */
export function tokenAuthentication(options: TokenAuthenticationOptions): Block<Authenticator> {
  const { tokens, mechanisms = ['OAUTHBEARER', 'XOAUTH2'], mayActAs = nobodyElse, scope: oauthScope } = options
  const offered = (session: Session): readonly string[] => (session.tls === undefined ? NOTHING : mechanisms)

  function create(scope: Scope): Authenticator {
    return {
      name: tokens.name,
      mechanisms: offered,
      begin(mechanism: string, { session }: AuthenticationContext, call: Call): AuthenticationExchange {
        if (!offered(session).includes(mechanism)) return endedExchange(malformed('mechanism not offered'))
        const run = mechanism === 'OAUTHBEARER' ? oauthBearer : xoauth2
        const check = (token: string): Promise<TokenVerdict> =>
          tokens.check(token, backEndCall(scope, call, tokens.name))
        return runExchange(
          (initial) => run(initial, check, mayActAs, oauthScope),
          call,
          (problem) => tell(scope, tokens.name, problem),
        )
      },
    }
  }
  return { name: tokens.name, create }
}
