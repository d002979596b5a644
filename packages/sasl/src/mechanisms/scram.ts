/**
 * SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677): the password never crosses the wire, and the server proves
 * that it knows the user too. An unknown user goes through the whole exchange with keys that fit no password.
 * The PLUS form binds the exchange to the TLS channel (RFC 9266); a client that could have used it, and was kept from
 * seeing it, says so with `y` and is refused.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { ChannelBinding } from '@mailwright/core'
import type { MayActAs, ScramKeys } from '../credentials.ts'
import { EMPTY, type MechanismDialogue, malformed, refused } from '../exchange.ts'
import { textOf, userName } from '../identity.ts'
import { actingAs } from './plain.ts'

export interface ScramContext {
  readonly plus: 'yes' | 'no'
  /** Whether the PLUS form was offered to this session. */
  readonly plusOffered: 'yes' | 'no'
  readonly channelBinding?: ChannelBinding | undefined
  /** Printable, without a comma. */
  readonly serverNonce: string
  /** The user's keys, or those of nobody. */
  readonly keysOf: (user: string) => Promise<{ readonly known: 'yes' | 'no'; readonly keys: ScramKeys }>
  readonly mayActAs: MayActAs
}

const PROOF_LENGTH = 32
const NONCE = /^[\x21-\x2b\x2d-\x7e]{1,512}$/

export async function* scram(initial: Uint8Array | undefined, context: ScramContext): MechanismDialogue {
  const first = clientFirst(textOf(initial ?? (yield EMPTY)) ?? '')
  if (first === undefined) return malformed('not a SCRAM message')
  const problem = bindingProblem(first.binding, context)
  const user = userName(first.user)
  if (problem !== undefined) return refused(problem, user)
  if (user === undefined) return refused('unusable user')

  const { known, keys } = await context.keysOf(user)
  const nonce = first.nonce + context.serverNonce
  const serverFirst = `r=${nonce},s=${Buffer.from(keys.salt).toString('base64')},i=${keys.iterations}`
  const final = clientFinal(textOf(yield Buffer.from(serverFirst)) ?? '')
  if (final === undefined) return malformed('not the end of a SCRAM exchange')

  const bound = first.binding.startsWith('p=') ? (context.channelBinding?.data ?? EMPTY) : EMPTY
  const expected = Buffer.concat([Buffer.from(first.header), bound]).toString('base64')
  if (final.nonce !== nonce) return refused('wrong nonce', user)
  if (final.binding !== expected) return refused('wrong channel binding', user)

  const signed = `${first.bare},${serverFirst},${final.withoutProof}`
  const signature = hmac(keys.storedKey, signed)
  const clientKey = final.proof.map((byte, index) => byte ^ signature[index]!)
  const right = timingSafeEqual(createHash('sha256').update(clientKey).digest(), keys.storedKey)
  if (!right || known === 'no') return refused('wrong user or password', user)
  const proof = Buffer.from(`v=${hmac(keys.serverKey, signed).toString('base64')}`)
  return actingAs(user, first.as, context.mayActAs, proof)
}

/** Why the client's channel binding cannot be taken; undefined when it can. */
function bindingProblem(binding: string, { plus, plusOffered, channelBinding }: ScramContext): string | undefined {
  if (plus === 'no') {
    if (binding === 'n') return undefined
    if (binding !== 'y') return 'channel binding outside the PLUS form'
    return plusOffered === 'yes' ? 'the client was kept from seeing the PLUS form' : undefined
  }
  if (channelBinding === undefined) return 'no channel to bind to'
  return binding === `p=${channelBinding.type}` ? undefined : 'not the channel binding offered'
}

interface ClientFirst {
  readonly header: string
  readonly binding: string
  readonly as: string
  readonly bare: string
  readonly user: string
  readonly nonce: string
}

function clientFirst(text: string): ClientFirst | undefined {
  const match = /^((n|y|p=[A-Za-z0-9.-]{1,64}),(?:a=([^,\0]{1,1024}))?,)(n=([^,\0]+),r=([^,]+)(?:,[^\0]*)?)$/.exec(text)
  if (match === null) return undefined
  const [, header, binding, as = '', bare, name, nonce] = match
  const [user, acting] = [saslName(name!), saslName(as)]
  if (user === undefined || acting === undefined || !NONCE.test(nonce!)) return undefined
  return { header: header!, binding: binding!, as: acting, bare: bare!, user, nonce: nonce! }
}

/** A name with its commas and equals signs back; undefined when an equals sign means nothing. */
export function saslName(text: string): string | undefined {
  if (/=(?!2C|3D)/.test(text)) return undefined
  return text.replaceAll('=2C', ',').replaceAll('=3D', '=')
}

interface ClientFinal {
  readonly withoutProof: string
  readonly binding: string
  readonly nonce: string
  readonly proof: Buffer
}

function clientFinal(text: string): ClientFinal | undefined {
  const match = /^(c=([A-Za-z0-9+/=]+),r=([^,]+)(?:,[^\0]*)?),p=([A-Za-z0-9+/]{43}=)$/.exec(text)
  if (match === null) return undefined
  const proof = Buffer.from(match[4]!, 'base64')
  if (proof.length !== PROOF_LENGTH) return undefined
  return { withoutProof: match[1]!, binding: match[2]!, nonce: match[3]!, proof }
}

export function hmac(key: Uint8Array, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}
