/**
 * OAUTHBEARER (RFC 7628) and Google's older XOAUTH2: a token instead of a password. A refusal is told the client in a JSON
 * challenge, which it answers with a dummy, and only then does the exchange fail (RFC 7628 §3.2.3).
 */
import type { MayActAs } from '../credentials.ts'
import { EMPTY, type MechanismDialogue, malformed, refused, type Verdict } from '../exchange.ts'
import { textOf, userName } from '../identity.ts'
import { actingAs } from './plain.ts'
import { saslName } from './scram.ts'

/** Whose token it is, or why it is none. */
export type TokenCheck = (token: string) => Promise<TokenVerdict>
export type TokenVerdict =
  | { readonly kind: 'user'; readonly user: string }
  | { readonly kind: 'refused'; readonly reason: string }

/** What the client says: as whom, and with what token. */
interface BearerMessage {
  readonly as: string
  readonly token: string
}

const TOKEN = /^[A-Za-z0-9\-._~+/]+=*$/

export function oauthBearer(
  initial: Uint8Array | undefined,
  check: TokenCheck,
  mayActAs: MayActAs,
  scope: string | undefined,
): MechanismDialogue {
  const error = { status: 'invalid_token', ...(scope === undefined ? {} : { scope }) }
  return bearer(initial, readOauthBearer, check, mayActAs, error)
}

export function xoauth2(
  initial: Uint8Array | undefined,
  check: TokenCheck,
  mayActAs: MayActAs,
  scope: string | undefined,
): MechanismDialogue {
  const error = { status: '401', schemes: 'bearer', ...(scope === undefined ? {} : { scope }) }
  return bearer(initial, readXoauth2, check, mayActAs, error)
}

async function* bearer(
  initial: Uint8Array | undefined,
  read: (text: string) => BearerMessage | undefined,
  check: TokenCheck,
  mayActAs: MayActAs,
  error: Readonly<Record<string, string>>,
): MechanismDialogue {
  const message = read(textOf(initial ?? (yield EMPTY)) ?? '')
  if (message === undefined) return malformed('not a bearer message')
  const verdict = await judged(message, check, mayActAs)
  if (verdict.kind === 'failure') yield Buffer.from(JSON.stringify(error))
  return verdict
}

async function judged({ as, token }: BearerMessage, check: TokenCheck, mayActAs: MayActAs): Promise<Verdict> {
  const claimed = as === '' ? undefined : userName(as)
  if (as !== '' && claimed === undefined) return refused('unusable user')
  if (!TOKEN.test(token)) return refused('not a bearer token', claimed)
  const answer = await check(token)
  if (answer.kind === 'refused') return refused(answer.reason, claimed)
  const user = userName(answer.user)
  if (user === undefined) return refused('the token names no usable user', claimed)
  // Mail addresses in tokens and in mail programs often differ in case; the token's spelling counts.
  if (claimed === undefined || claimed.toLowerCase() === user.toLowerCase()) return { kind: 'success', user }
  return actingAs(user, claimed, mayActAs)
}

/** `n,a=user,^Ahost=…^Aport=…^Aauth=Bearer token^A^A` */
function readOauthBearer(text: string): BearerMessage | undefined {
  const match = /^[ny],(?:a=([^,\0\x01]{1,1024}))?,\x01([^\0]*)\x01\x01$/.exec(text)
  if (match === null) return undefined
  const as = saslName(match[1] ?? '')
  const token = bearerToken(match[2]!)
  return as === undefined || token === undefined ? undefined : { as, token }
}

/** `user=user^Aauth=Bearer token^A^A` */
function readXoauth2(text: string): BearerMessage | undefined {
  const match = /^user=([^\0\x01]{1,1024})\x01([^\0]*)\x01\x01$/.exec(text)
  const token = match === null ? undefined : bearerToken(match[2]!)
  return token === undefined ? undefined : { as: match![1]!, token }
}

function bearerToken(pairs: string): string | undefined {
  const values = pairs.split('\x01').filter((pair) => /^auth=/i.test(pair))
  return values.length === 1 ? /^auth=Bearer +(\S+) *$/i.exec(values[0]!)?.[1] : undefined
}
