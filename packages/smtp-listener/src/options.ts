/** What a listener can be told, with its defaults, checked once when it is made. */
import {
  type Authenticator,
  type Duration,
  type Intake,
  MailwrightError,
  milliseconds,
  type Profile,
} from '@mailwright/core'
import type { AuthenticationRules } from './authentication.ts'
import { type Extension, type Extensions, extensionsOf } from './extension.ts'

export interface SmtpListenerOptions {
  /** The dialogue behind the protocol. */
  readonly intake: Intake
  /** An IP address. Default `127.0.0.1`: nobody is served from outside by omission. */
  readonly host?: string
  /** 0 for any free port. */
  readonly port: number
  /** Default `smtp`. */
  readonly protocol?: 'smtp' | 'lmtp'
  /** What it is for. Default `mx`. */
  readonly profile?: Profile
  readonly tls?: ListenerTls
  /** Open connections at a time; over it, `421 4.7.0`. Default 1000. */
  readonly maxConnections?: number
  /** The same for one client address. Default 50. */
  readonly maxConnectionsPerAddress?: number
  /** Addresses the limit per address does not apply to. Default: loopback. */
  readonly exempt?: (address: string) => boolean
  /** How long a client may be silent between transactions. Default `5m` (RFC 5321 §4.5.3.2.7). */
  readonly idleTimeout?: Duration
  /** How long the next command may take within a transaction, before HELO, and for a TLS handshake. Default `5m`. */
  readonly commandTimeout?: Duration
  /** How long a client may be silent within DATA. Default `3m` (RFC 5321 §4.5.3.2.5). */
  readonly dataTimeout?: Duration
  /** How long the whole of one DATA may take. Default `30m`. */
  readonly transactionTimeout?: Duration
  /** How long a connection may last. Default: no limit. A message is never cut off while we decide about it. */
  readonly sessionTimeout?: Duration
  /** Octets of a command line, CRLF included. Default 2048: 512 and room for extensions. */
  readonly maxCommandLength?: number
  /** Refusals by the engine itself, of syntax and sequence, before it hangs up. Default 20. */
  readonly maxJunk?: number
  /** Checks who clients are (RFC 4954). Without one, AUTH is not offered. */
  readonly auth?: Authenticator
  /** Whether AUTH is offered and taken in clear text. Default `never`: `538 5.7.11`. */
  readonly authWithoutTls?: 'never' | 'allowed'
  /** Failed authentications of one connection; the next one is `421 4.7.0` and the end. Default 3. */
  readonly maxAuthFailures?: number
  /** Keywords and verbs of the host's own. */
  readonly extensions?: readonly Extension[]
}

export interface ListenerTls {
  /** PEM. */
  readonly key: string | Uint8Array
  /** PEM: the certificate and its chain. */
  readonly cert: string | Uint8Array
  /** PEM. */
  readonly ca?: string | Uint8Array
  /** TLS after the STARTTLS command, or from the first byte. Default `starttls`. */
  readonly mode?: 'starttls' | 'implicit'
  /** Default `TLSv1.2`. */
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3'
}

/** The options with every default filled in, times in ms. */
export interface ListenerConfig {
  readonly intake: Intake
  readonly host: string
  readonly port: number
  readonly protocol: 'smtp' | 'lmtp'
  readonly profile: Profile
  readonly tls: (ListenerTls & { readonly mode: 'starttls' | 'implicit' }) | undefined
  readonly maxConnections: number
  readonly maxConnectionsPerAddress: number
  readonly exempt: (address: string) => boolean
  readonly idleMs: number
  readonly commandMs: number
  readonly dataMs: number
  readonly transactionMs: number
  /** Infinity: no limit. */
  readonly sessionMs: number
  readonly maxCommandLength: number
  readonly maxJunk: number
  readonly auth: AuthenticationRules | undefined
  readonly extensions: Extensions | undefined
}

/**
 * Fills in the defaults.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for a value that cannot work.
 */
export function listenerConfig(options: SmtpListenerOptions): ListenerConfig {
  const { tls } = options
  return {
    intake: options.intake,
    host: options.host ?? '127.0.0.1',
    port: within('port', options.port, 0, 65_535),
    protocol: options.protocol ?? 'smtp',
    profile: options.profile ?? 'mx',
    tls: tls && { ...tls, mode: tls.mode ?? 'starttls' },
    maxConnections: within('maxConnections', options.maxConnections ?? 1_000, 1),
    maxConnectionsPerAddress: within('maxConnectionsPerAddress', options.maxConnectionsPerAddress ?? 50, 1),
    exempt: options.exempt ?? isLoopback,
    idleMs: milliseconds(options.idleTimeout ?? '5m'),
    commandMs: milliseconds(options.commandTimeout ?? '5m'),
    dataMs: milliseconds(options.dataTimeout ?? '3m'),
    transactionMs: milliseconds(options.transactionTimeout ?? '30m'),
    sessionMs: options.sessionTimeout === undefined ? Number.POSITIVE_INFINITY : milliseconds(options.sessionTimeout),
    maxCommandLength: within('maxCommandLength', options.maxCommandLength ?? 2_048, 512, 65_536),
    maxJunk: within('maxJunk', options.maxJunk ?? 20, 1),
    auth: options.auth && {
      authenticator: options.auth,
      hostname: options.intake.hostname,
      withoutTls: options.authWithoutTls ?? 'never',
      maxFailures: within('maxAuthFailures', options.maxAuthFailures ?? 3, 0),
    },
    extensions: extensionsOf(options.extensions),
  }
}

/** Whether the address is this host's own. */
export function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1'
}

function within(name: string, value: number, least: number, most: number = Number.MAX_SAFE_INTEGER): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value
  throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `smtpListener: ${name} cannot be ${String(value)}`)
}
