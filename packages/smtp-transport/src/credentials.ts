/** Who we are to a server that wants to know (RFC 4954), and where a host program says so. */
import { createHash } from 'node:crypto'
import { type Awaitable, type Call, type Mailbox, MailwrightError } from '@mailwright/core'

/** The mechanisms known, the strongest first. */
export const MECHANISMS = ['SCRAM-SHA-256', 'OAUTHBEARER', 'XOAUTH2', 'CRAM-MD5', 'PLAIN', 'LOGIN'] as const

export type SaslMechanism = (typeof MECHANISMS)[number]

/**
 * Gives an access token. `fresh`: the one given before was refused, so a remembered one will not do. A rejection defers
 * the mail.
 */
export type TokenSource = (wanted: 'any' | 'fresh', call: Call) => Awaitable<string>

/** A user, and a password or an access token. */
export type SmtpCredentials = {
  readonly user: string
  /** The mechanisms that may be used. Default: all that fit; the strongest that the server offers is taken. */
  readonly mechanisms?: readonly SaslMechanism[] | undefined
} & (
  | { readonly password: string; readonly token?: undefined }
  | { readonly token: string | TokenSource; readonly password?: undefined }
)

/**
 * The same credentials for every next hop; or a function of next hop and sender, whose undefined means none. Mail of
 * different users never shares a connection.
 */
export type SmtpCredentialsSource =
  | SmtpCredentials
  | ((destination: string, sender: Mailbox | null, call: Call) => Awaitable<SmtpCredentials | undefined>)

const TOKEN_MECHANISMS: ReadonlySet<SaslMechanism> = new Set(['OAUTHBEARER', 'XOAUTH2'])

/** The mechanisms to try with a server, in order. */
export function mechanismsFor(credentials: SmtpCredentials, offered: readonly string[]): readonly SaslMechanism[] {
  const allowed = credentials.mechanisms ?? MECHANISMS
  const kind = credentials.token !== undefined
  return MECHANISMS.filter(
    (each) => offered.includes(each) && allowed.includes(each) && TOKEN_MECHANISMS.has(each) === kind,
  )
}

/** Tells identities apart without telling the secret: connections of one are no other's. */
export function identityOf({ user, password, token }: SmtpCredentials): string {
  const secret = password ?? (typeof token === 'string' ? token : '')
  return createHash('sha256')
    .update(JSON.stringify([user, secret]))
    .digest('base64')
}

/** @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for credentials that nobody could use. */
export function checkCredentials(source: SmtpCredentialsSource | undefined): void {
  if (source === undefined || typeof source === 'function') return
  const { user, password, token, mechanisms } = source
  const problem =
    typeof user !== 'string' || user === ''
      ? 'auth needs a user'
      : (password === undefined) === (token === undefined)
        ? 'auth needs either a password or a token'
        : mechanismsFor(source, mechanisms ?? MECHANISMS).length === 0
          ? 'auth names no mechanism that fits'
          : undefined
  if (problem !== undefined) throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `smtpTransport: ${problem}`)
}
