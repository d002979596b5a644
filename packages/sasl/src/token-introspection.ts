/**
 * Tokens only their issuer can read: it is asked about each (RFC 7662). A good answer may be kept for a short while, by a
 * digest of the token; a bad one is not. When the issuer does not answer, nobody is let in and clients are answered 454.
 */
import { createHash } from 'node:crypto'
import { type Duration, MailwrightError, milliseconds } from '@mailwright/core'
import { isFor, refusedToken, type TokenClaims, type UserClaim, userOf } from './claims.ts'
import type { BackEndCall } from './credentials.ts'
import { type Fetch, fetchJson, secureUrl } from './fetch-json.ts'
import type { TokenVerdict } from './mechanisms/bearer.ts'
import type { Tokens } from './token-authentication.ts'

export interface TokenIntrospectionOptions {
  /** The issuer's introspection endpoint, https. */
  readonly url: string
  /** Who we are to the issuer: client id and secret, sent as HTTP Basic (RFC 6749 §2.3.1). */
  readonly client: { readonly id: string; readonly secret: string }
  /** For whom the token must have been made: one of these. Default: not looked at, the issuer decides. */
  readonly audience?: string | readonly string[] | undefined
  /** Who must have made it. Default: not looked at. */
  readonly issuer?: string | undefined
  /** A scope the token must have. Default: none. */
  readonly scope?: string | undefined
  /** The claim that names the user. Default `username`. */
  readonly user?: UserClaim | undefined
  /** How long a good answer is kept: as long a revoked token lives on. Default `'30s'`; 0 for never. */
  readonly maxAge?: Duration | undefined
  /** Most answers kept. Default 1,000. */
  readonly maxEntries?: number | undefined
  /** How long the issuer may take to answer. Default `'5s'`. */
  readonly timeout?: Duration | undefined
  /** Default: the platform's. */
  readonly fetch?: Fetch | undefined
  /** Names it in events. Default `token-introspection`. */
  readonly name?: string | undefined
}

const MAX_BYTES = 64 * 1024

/**
 * Tokens the issuer is asked about.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for an address that is not https.
 * @example
 * tokenIntrospection({ url: 'https://id.example.org/introspect', client: { id: 'smtp', secret } })
 */
export function tokenIntrospection(options: TokenIntrospectionOptions): Tokens {
  const { user = 'username', fetch = globalThis.fetch, name = 'token-introspection', maxEntries = 1_000 } = options
  const url = secureUrl(options.url)
  const maxAgeMs = milliseconds(options.maxAge ?? '30s')
  const limits = { timeoutMs: milliseconds(options.timeout ?? '5s'), maxBytes: MAX_BYTES }
  const audience = typeof options.audience === 'string' ? [options.audience] : options.audience
  const { id, secret } = options.client
  const basic = Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`).toString('base64')
  const headers = {
    authorization: `Basic ${basic}`,
    accept: 'application/json',
    'content-type': 'application/x-www-form-urlencoded',
  }
  /** By digest, the oldest first. */
  const kept = new Map<string, { readonly verdict: TokenVerdict; readonly until: number }>()

  async function ask(token: string, call: BackEndCall): Promise<TokenClaims> {
    const body = new URLSearchParams({ token, token_type_hint: 'access_token' }).toString()
    const answer = await fetchJson(fetch, url, { method: 'POST', headers, body }, limits, call.clock, call)
    if (typeof answer !== 'object' || answer === null || typeof (answer as TokenClaims).active !== 'boolean') {
      throw new MailwrightError('ERR_MAILWRIGHT_PROTOCOL', `${name}: not an answer of RFC 7662`)
    }
    return answer as TokenClaims
  }

  function judged(claims: TokenClaims, now: number): TokenVerdict {
    if (claims.active !== true) return refusedToken('the token is not active')
    if (typeof claims.exp === 'number' && claims.exp * 1_000 <= now) return refusedToken('the token has expired')
    if (options.issuer !== undefined && claims.iss !== options.issuer) return refusedToken('of another issuer')
    if (audience !== undefined && !isFor(claims.aud, audience)) return refusedToken('for another audience')
    const scopes = typeof claims.scope === 'string' ? claims.scope.split(' ') : []
    if (options.scope !== undefined && !scopes.includes(options.scope)) return refusedToken('without the scope')
    return userOf(claims, user)
  }

  function keep(key: string, verdict: TokenVerdict, until: number): void {
    kept.delete(key)
    kept.set(key, { verdict, until })
    if (kept.size > maxEntries) kept.delete(kept.keys().next().value!)
  }

  return {
    name,
    async check(token: string, call: BackEndCall): Promise<TokenVerdict> {
      const key = createHash('sha256').update(token).digest('base64')
      const known = kept.get(key)
      if (known !== undefined && known.until > call.clock.now()) return known.verdict
      kept.delete(key)
      const claims = await ask(token, call)
      const now = call.clock.now()
      const verdict = judged(claims, now)
      if (verdict.kind === 'user' && maxAgeMs > 0) {
        const expiry = typeof claims.exp === 'number' ? claims.exp * 1_000 : Number.POSITIVE_INFINITY
        keep(key, verdict, Math.min(now + maxAgeMs, expiry))
      }
      return verdict
    },
  }
}
