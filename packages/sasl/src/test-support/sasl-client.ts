/** A small client of each mechanism, and what it needs to talk to an authenticator without SMTP. */
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto'
import type {
  AuthenticationContext,
  AuthenticationExchange,
  AuthenticationStep,
  Authenticator,
  Call,
  ChannelBinding,
  Session,
  TlsFacts,
} from '@mailwright/core'

export const call: Call = { signal: new AbortController().signal }
export const TLS: TlsFacts = { protocol: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384' }

export function session(changes: Partial<Session> = {}): Session {
  return {
    id: 's1',
    protocol: 'smtp',
    profile: 'submission',
    client: { address: '192.0.2.7', port: 40_000 },
    server: { address: '192.0.2.1', port: 465 },
    openedAt: 0,
    extended: true,
    tls: TLS,
    ...changes,
  }
}

export function context(changes: Partial<Session> = {}, channelBinding?: ChannelBinding): AuthenticationContext {
  return { session: session(changes), hostname: 'mail.example.org', channelBinding }
}

/** What a client does: gives the response to a challenge; the first is asked for with undefined. */
export type Client = (challenge: string | undefined) => string | Uint8Array | undefined

/** Runs an exchange to its end. */
export async function talk(exchange: AuthenticationExchange, client: Client): Promise<AuthenticationStep> {
  let challenge: string | undefined
  for (let turn = 0; turn < 10; turn++) {
    const response = client(challenge)
    const step = await exchange.step(typeof response === 'string' ? Buffer.from(response) : response)
    if (step.kind !== 'challenge') return step
    challenge = Buffer.from(step.data).toString()
  }
  throw new Error('an exchange without end')
}

/** Authenticates in one mechanism, over TLS unless the session says otherwise. */
export function authenticate(
  authenticator: Authenticator,
  mechanism: string,
  client: Client,
  given: AuthenticationContext = context(),
): Promise<AuthenticationStep> {
  return talk(authenticator.begin(mechanism, given, call), client)
}

export function plainClient(user: string, password: string, as = ''): Client {
  return () => `${as}\0${user}\0${password}`
}

export function loginClient(user: string, password: string): Client {
  const answers = [undefined, user, password]
  return () => answers.shift()
}

export function cramClient(user: string, password: string): Client {
  return (challenge) =>
    challenge === undefined ? undefined : `${user} ${createHmac('md5', password).update(challenge).digest('hex')}`
}

export interface ScramClientOptions {
  readonly nonce?: string
  readonly header?: string
  readonly binding?: Uint8Array
  readonly as?: string
}

export interface ScramClient {
  readonly client: Client
  /** What the server should prove. */
  proof(): string
  /** What it was told in the first challenge. */
  readonly told: () => string
}

export function scramClient(user: string, password: string, options: ScramClientOptions = {}): ScramClient {
  const header = `${options.header ?? 'n'},${options.as === undefined ? '' : `a=${options.as}`},`
  const bare = `n=${user.replaceAll('=', '=3D').replaceAll(',', '=2C')},r=${options.nonce ?? 'rOprNGfwEbeRWgbNEkqO'}`
  let expected = ''
  let told = ''
  return {
    proof: () => expected,
    told: () => told,
    client: (challenge) => {
      if (challenge === undefined) return header + bare
      // The server's proof, where it comes as a challenge, has no answer.
      if (challenge.startsWith('v=')) return ''
      told = challenge
      const [, nonce, salt, iterations] = /^r=([^,]+),s=([^,]+),i=(\d+)$/.exec(challenge)!
      const salted = pbkdf2Sync(password, Buffer.from(salt!, 'base64'), Number(iterations), 32, 'sha256')
      const binding = Buffer.concat([Buffer.from(header), options.binding ?? Buffer.alloc(0)]).toString('base64')
      const withoutProof = `c=${binding},r=${nonce}`
      const signed = `${bare},${challenge},${withoutProof}`
      const mac = (key: Uint8Array, text: string): Buffer => createHmac('sha256', key).update(text).digest()
      const clientKey = mac(salted, 'Client Key')
      const signature = mac(createHash('sha256').update(clientKey).digest(), signed)
      expected = `v=${mac(mac(salted, 'Server Key'), signed).toString('base64')}`
      return `${withoutProof},p=${Buffer.from(clientKey.map((byte, i) => byte ^ signature[i]!)).toString('base64')}`
    },
  }
}
