/**
 * Tokens that carry their own proof: JWTs (RFC 7519, RFC 9068) signed with the keys an issuer publishes (RFC 7517).
 * Signature, issuer, audience and expiry are checked by `jose`. The keys are kept for a while and asked for anew when a token
 * names an unknown one, at most every half minute. When they cannot be had, nobody is let in and clients are answered 454.
 */
import { type Clock, type Duration, MailwrightError, milliseconds } from '@mailwright/core'
import type { JSONWebKeySet, JWTVerifyGetKey } from 'jose'
import { refusedToken, type TokenClaims, type UserClaim, userOf } from './claims.ts'
import type { BackEndCall } from './credentials.ts'
import { type Fetch, fetchJson, secureUrl } from './fetch-json.ts'
import type { TokenVerdict } from './mechanisms/bearer.ts'
import type { Tokens } from './token-authentication.ts'

export interface JwksOptions {
  /** Where the issuer publishes its keys, https. */
  readonly url: string
  /** Who must have made the token. */
  readonly issuer: string
  /** For whom it must have been made: one of these. */
  readonly audience: string | readonly string[]
  /** The claim that names the user. Default `email`, and then `email_verified` must not be false. */
  readonly user?: UserClaim | undefined
  /** Signatures that count. Default the asymmetric ones: RS, PS, ES and EdDSA. */
  readonly algorithms?: readonly string[] | undefined
  /** How long keys are kept. Default `'10m'`. */
  readonly maxAge?: Duration | undefined
  /** How far clocks may differ. Default `'30s'`. */
  readonly tolerance?: Duration | undefined
  /** How long the issuer may take to answer. Default `'5s'`. */
  readonly timeout?: Duration | undefined
  /** Default: the platform's. */
  readonly fetch?: Fetch | undefined
  /** Names it in events. Default `jwks`. */
  readonly name?: string | undefined
}

const ASYMMETRIC = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']
const MAX_BYTES = 512 * 1024
const COOL_DOWN_MS = 30_000

/** Loaded with the first token: whoever has none pays nothing for it. */
const jose = () => import('jose')

interface Keys {
  readonly find: JWTVerifyGetKey
  readonly at: number
}

/**
 * Tokens signed by an issuer.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for an address that is not https, or a symmetric algorithm.
 * @example
 * jwks({ url: 'https://id.example.org/keys', issuer: 'https://id.example.org', audience: 'smtp' })
 */
export function jwks(options: JwksOptions): Tokens {
  const { user = 'email', fetch = globalThis.fetch, algorithms = ASYMMETRIC, name = 'jwks' } = options
  const url = secureUrl(options.url)
  if (algorithms.some((one) => !ASYMMETRIC.includes(one))) {
    throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `${name}: only asymmetric signatures can be checked`)
  }
  const maxAgeMs = milliseconds(options.maxAge ?? '10m')
  const tolerance = milliseconds(options.tolerance ?? '30s') / 1_000
  const limits = { timeoutMs: milliseconds(options.timeout ?? '5s'), maxBytes: MAX_BYTES }
  const audience = typeof options.audience === 'string' ? [options.audience] : [...options.audience]
  let kept: Keys | undefined
  let asking: Promise<Keys> | undefined

  /** Keys not older than that. Many may wait for one question; none of them can end it for the others. */
  async function keys(clock: Clock, maxAge: number): Promise<Keys> {
    if (kept !== undefined && clock.now() - kept.at < maxAge) return kept
    asking ??= ask(clock).finally(() => {
      asking = undefined
    })
    return asking
  }

  async function ask(clock: Clock): Promise<Keys> {
    const set = await fetchJson(fetch, url, { headers: { accept: 'application/json' } }, limits, clock)
    const { createLocalJWKSet } = await jose()
    kept = { find: createLocalJWKSet(set as JSONWebKeySet), at: clock.now() }
    return kept
  }

  async function claimsOf(token: string, { find }: Keys, clock: Clock): Promise<TokenClaims> {
    const { jwtVerify } = await jose()
    const { payload } = await jwtVerify(token, find, {
      issuer: options.issuer,
      audience,
      algorithms: [...algorithms],
      clockTolerance: tolerance,
      currentDate: new Date(clock.now()),
      requiredClaims: ['exp'],
    })
    return payload
  }

  async function verified(token: string, clock: Clock): Promise<TokenClaims> {
    try {
      return await claimsOf(token, await keys(clock, maxAgeMs), clock)
    } catch (error) {
      const { errors } = await jose()
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error
      return claimsOf(token, await keys(clock, Math.min(maxAgeMs, COOL_DOWN_MS)), clock)
    }
  }

  return {
    name,
    async check(token: string, { clock }: BackEndCall): Promise<TokenVerdict> {
      try {
        return userOf(await verified(token, clock), user)
      } catch (error) {
        const { errors } = await jose()
        if (!(error instanceof errors.JOSEError) || error instanceof errors.JWKSInvalid) throw error
        return refusedToken(`token refused: ${error.code}`)
      }
    },
  }
}
