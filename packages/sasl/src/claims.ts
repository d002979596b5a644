/** What a token says of its user and for whom it was made, however it was checked. */
import type { TokenVerdict } from './mechanisms/bearer.ts'

export type TokenClaims = Readonly<Record<string, unknown>>

/** Which claim names the user, or a function that finds it. */
export type UserClaim = string | ((claims: TokenClaims) => string | undefined)

/** The user the claims name. An address that its owner has not confirmed names nobody. */
export function userOf(claims: TokenClaims, claim: UserClaim): TokenVerdict {
  if (claim === 'email' && claims.email_verified === false) return refusedToken('the address is not verified')
  const user = typeof claim === 'string' ? claims[claim] : claim(claims)
  return typeof user === 'string' && user !== '' ? { kind: 'user', user } : refusedToken('the token names no user')
}

/** Whether a token was made for one of those who count. */
export function isFor(audience: unknown, wanted: readonly string[]): boolean {
  const given: readonly unknown[] = Array.isArray(audience) ? audience : [audience]
  return given.some((one) => typeof one === 'string' && wanted.includes(one))
}

export function refusedToken(reason: string): TokenVerdict {
  return { kind: 'refused', reason }
}
