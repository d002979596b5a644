/**
 * The client's side of SASL: PLAIN (RFC 4616), LOGIN, CRAM-MD5 (RFC 2195), SCRAM-SHA-256 (RFC 5802, 7677), OAUTHBEARER
 * (RFC 7628) and XOAUTH2. A challenge that makes no sense is answered with undefined, which means: cancel.
 */
import { createHash, createHmac, pbkdf2, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import type { Random } from '@mailwright/core'
import type { SaslMechanism } from './credentials.ts'

/** One exchange. Responses and challenges are decoded. */
export interface SaslExchange {
  /** What goes with the AUTH command, if anything does. */
  readonly initial: string | undefined
  /** The response to a challenge; undefined to give up. */
  respond(challenge: Buffer): Promise<string | undefined> | string | undefined
  /** Whether the server has shown what it owes us before it says 235. */
  satisfied(): boolean
}

/** What an exchange is about. `secret`: the password or the token. */
export interface SaslClaim {
  readonly user: string
  readonly secret: string
  readonly host: string
  readonly port: number
}

/** Begins an exchange. */
export function beginSasl(mechanism: SaslMechanism, claim: SaslClaim, random: Random): SaslExchange {
  const { user, secret } = claim
  switch (mechanism) {
    case 'PLAIN':
      return simple(`\0${user}\0${secret}`, [])
    case 'LOGIN':
      return simple(undefined, [user, secret])
    case 'CRAM-MD5':
      return {
        initial: undefined,
        respond: (challenge) => `${user} ${createHmac('md5', secret).update(challenge).digest('hex')}`,
        satisfied: () => true,
      }
    case 'SCRAM-SHA-256':
      return scram(claim, random)
    case 'OAUTHBEARER': {
      const fields = [`host=${claim.host}`, `port=${claim.port}`, `auth=Bearer ${secret}`].join('\x01')
      // A challenge is the reason of a refusal, and the protocol wants it acknowledged.
      return simple(`n,a=${scramName(user)},\x01${fields}\x01\x01`, ['\x01'])
    }
    case 'XOAUTH2':
      return simple(`user=${user}\x01auth=Bearer ${secret}\x01\x01`, [''])
  }
}

function simple(initial: string | undefined, answers: readonly string[]): SaslExchange {
  const left = [...answers]
  return { initial, respond: () => left.shift(), satisfied: () => true }
}

/** Fewer rounds would give the password to whoever asks for them (RFC 7677 §4), more would keep us busy. */
const MIN_ROUNDS = 4_096
const MAX_ROUNDS = 1_000_000

const derive = promisify(pbkdf2)

function scram({ user, secret }: SaslClaim, random: Random): SaslExchange {
  const own = Buffer.from(random.bytes(18)).toString('base64')
  const bare = `n=${scramName(user)},r=${own}`
  let proof: Buffer | undefined
  let state: 'begun' | 'proven' | 'done' = 'begun'
  return {
    initial: `n,,${bare}`,
    async respond(challenge) {
      const text = challenge.toString()
      if (state === 'begun') {
        const first = /^r=([\x21-\x2b\x2d-\x7e]+),s=([A-Za-z0-9+/=]+),i=(\d{1,7})(?:,|$)/.exec(text)
        if (first === null) return undefined
        const [, nonce, salt, rounds] = first as unknown as [string, string, string, string]
        const count = Number(rounds)
        if (!nonce.startsWith(own) || nonce === own || count < MIN_ROUNDS || count > MAX_ROUNDS) return undefined
        const salted = await derive(secret.normalize('NFKC'), Buffer.from(salt, 'base64'), count, 32, 'sha256')
        const unproven = `c=biws,r=${nonce}`
        const signed = `${bare},${text},${unproven}`
        const clientKey = hmac(salted, 'Client Key')
        const signature = hmac(createHash('sha256').update(clientKey).digest(), signed)
        proof = hmac(hmac(salted, 'Server Key'), signed)
        state = 'proven'
        return `${unproven},p=${Buffer.from(clientKey.map((byte, at) => byte ^ signature[at]!)).toString('base64')}`
      }
      const shown = Buffer.from(/^v=([A-Za-z0-9+/=]+)/.exec(text)?.[1] ?? '', 'base64')
      if (state !== 'proven' || shown.length !== proof!.length || !timingSafeEqual(shown, proof!)) return undefined
      state = 'done'
      return ''
    },
    satisfied: () => state === 'done',
  }
}

function hmac(key: Uint8Array, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

/** Commas and equals signs mean something in SCRAM's messages (RFC 5802 §5.1). */
function scramName(user: string): string {
  return user.normalize('NFKC').replaceAll('=', '=3D').replaceAll(',', '=2C')
}
