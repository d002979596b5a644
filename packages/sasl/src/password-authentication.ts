/**
 * Clients that know a password: PLAIN, LOGIN, CRAM-MD5, SCRAM-SHA-256 and SCRAM-SHA-256-PLUS over anything that keeps
 * users' secrets. Wrong users and wrong passwords look the same in words and in work.
 */
import { createHmac } from 'node:crypto'
import {
  type AuthenticationContext,
  type AuthenticationExchange,
  type Authenticator,
  type Block,
  type Call,
  MailwrightError,
  type Scope,
  type Session,
} from '@mailwright/core'
import { backEndCall, tell } from './back-end.ts'
import { type Credentials, type MayActAs, nobodyElse, type ScramKeys, type StoredSecret } from './credentials.ts'
import { endedExchange, type MechanismDialogue, malformed, runExchange } from './exchange.ts'
import { cramMd5 } from './mechanisms/cram-md5.ts'
import { login } from './mechanisms/login.ts'
import { plain } from './mechanisms/plain.ts'
import { scram } from './mechanisms/scram.ts'
import { deriveScramKeys } from './password-hash.ts'

export type PasswordMechanism = 'SCRAM-SHA-256-PLUS' | 'SCRAM-SHA-256' | 'PLAIN' | 'LOGIN' | 'CRAM-MD5'

export interface PasswordAuthenticationOptions {
  readonly credentials: Credentials
  /**
   * In order of preference. Default PLAIN and LOGIN, which any stored hash serves. SCRAM needs SCRAM keys or plain
   * passwords for all users, CRAM-MD5 plain passwords: most clients do not fall back to another mechanism.
   */
  readonly mechanisms?: readonly PasswordMechanism[] | undefined
  /** Where PLAIN and LOGIN are offered. Default `tls`; `anywhere` lets passwords cross the wire in the clear. */
  readonly clearText?: 'tls' | 'anywhere' | undefined
  /** Who may act as another user, by PLAIN's or SCRAM's authorization identity. Default: nobody. */
  readonly mayActAs?: MayActAs | undefined
  /** The iterations of SCRAM keys: of those derived from plain passwords, and those shown for unknown users. Default 4096. */
  readonly scramIterations?: number | undefined
  /**
   * Makes the salts that unknown users are shown. Give at least 16 secret bytes, the same after a restart and on every
   * server, or who compares can tell unknown users by a salt that changed. Default: random.
   */
  readonly scramSecret?: string | Uint8Array | undefined
}

const ALL: readonly string[] = ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256', 'PLAIN', 'LOGIN', 'CRAM-MD5']
const SALT_BYTES = 16
const NONCE_BYTES = 18

/**
 * An authenticator for passwords.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for a mechanism that the credentials cannot serve.
 * @example
 * const auth = mta.use(passwordAuthentication({ credentials: passwordFile('/etc/mailwright/users') }))
 * mta.use(smtpListener({ intake, port: 465, tls, auth }))
 */
export function passwordAuthentication(options: PasswordAuthenticationOptions): Block<Authenticator> {
  const { credentials, mechanisms = ['PLAIN', 'LOGIN'], scramIterations = 4_096 } = options
  for (const mechanism of mechanisms) {
    if (!ALL.includes(mechanism)) throw misfit(`${credentials.name}: unknown mechanism ${mechanism}`)
    if (credentials.stored === undefined && !sendsPassword(mechanism)) {
      throw misfit(`${credentials.name} cannot serve ${mechanism}: it has no stored secrets`)
    }
  }
  if (!(scramIterations >= 1 && scramIterations <= 5_000_000)) throw misfit('scramIterations is out of range')
  return { name: credentials.name, create: (scope) => create(scope, options, mechanisms, scramIterations) }
}

function misfit(problem: string): MailwrightError {
  return new MailwrightError('ERR_MAILWRIGHT_CONFIG', problem)
}

function sendsPassword(mechanism: string): boolean {
  return mechanism === 'PLAIN' || mechanism === 'LOGIN'
}

function create(
  scope: Scope,
  options: PasswordAuthenticationOptions,
  mechanisms: readonly PasswordMechanism[],
  scramIterations: number,
): Authenticator {
  const { credentials, clearText = 'tls', mayActAs = nobodyElse } = options
  const { clock, random } = scope.environment
  const secret = options.scramSecret ?? random.bytes(32)
  // Worked out once: asked at each EHLO.
  const offers = {
    clear: mechanisms.filter((one) => (clearText === 'anywhere' || !sendsPassword(one)) && !needsChannel(one)),
    tls: mechanisms.filter((one) => !needsChannel(one)),
    channel: mechanisms,
  }

  function offered(session: Session): readonly string[] {
    if (session.tls === undefined) return offers.clear
    // Channels are bound by exported keys, which are safe from TLS 1.3 on (RFC 9266 §1).
    return session.tls.protocol === 'TLSv1.3' ? offers.channel : offers.tls
  }

  function begin(mechanism: string, context: AuthenticationContext, call: Call): AuthenticationExchange {
    if (!offered(context.session).includes(mechanism)) return endedExchange(malformed('mechanism not offered'))
    const asked = backEndCall(scope, call, credentials.name)
    const report = (problem: unknown): void => tell(scope, credentials.name, problem)

    const isPassword = async (user: string, forms: readonly string[]): Promise<boolean> => {
      let right = false
      // Every form is tried, also after the right one: the time tells nothing.
      for (const form of forms) right = (await credentials.verify(user, form, asked)) || right
      return right
    }
    const keysOf = async (user: string): Promise<{ known: 'yes' | 'no'; keys: ScramKeys }> => {
      const salt = createHmac('sha256', secret).update(`salt ${user}`).digest().subarray(0, SALT_BYTES)
      const stored = await credentials.stored!(user, asked)
      // Derived for everybody, needed or not: the same work for the known and the unknown.
      const derived = await deriveScramKeys(passwordOf(stored) ?? user, salt, scramIterations)
      if (stored?.kind === 'scram-sha-256') return { known: 'yes', keys: stored }
      return { known: stored?.kind === 'plain' ? 'yes' : 'no', keys: derived }
    }
    const secretOf = async (user: string): Promise<string | undefined> =>
      passwordOf(await credentials.stored!(user, asked))

    const dialogue = (initial: Uint8Array | undefined): MechanismDialogue => {
      switch (mechanism) {
        case 'PLAIN':
          return plain(initial, isPassword, mayActAs)
        case 'LOGIN':
          return login(initial, isPassword)
        case 'CRAM-MD5':
          return cramMd5(initial, `<${nonce()}.${Math.floor(clock.now() / 1_000)}@${context.hostname}>`, secretOf)
        default:
          return scram(initial, {
            plus: needsChannel(mechanism) ? 'yes' : 'no',
            plusOffered: offered(context.session).some(needsChannel) ? 'yes' : 'no',
            channelBinding: context.channelBinding,
            serverNonce: nonce(),
            keysOf,
            mayActAs,
          })
      }
    }
    return runExchange(dialogue, call, report)
  }

  function nonce(): string {
    return Buffer.from(random.bytes(NONCE_BYTES)).toString('base64url')
  }

  return { name: credentials.name, mechanisms: offered, begin }
}

function needsChannel(mechanism: string): boolean {
  return mechanism.endsWith('-PLUS')
}

function passwordOf(stored: StoredSecret | undefined): string | undefined {
  return stored?.kind === 'plain' ? stored.password : undefined
}
