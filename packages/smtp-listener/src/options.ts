/** What a listener can be told, with its defaults, checked once when it is made. */
import {
  type Authenticator,
  type Awaitable,
  type Duration,
  type Intake,
  type ListenTarget,
  MailwrightError,
  milliseconds,
  type Profile,
} from '@mailwright/core'
import { addressList } from './address-list.ts'
import type { AuthenticationRules } from './authentication.ts'
import { developmentCertificate } from './development-certificate.ts'
import { type Extension, type Extensions, extensionsOf } from './extension.ts'
import { type TrustedHosts, type TrustRules, trustRules } from './trusted-hosts.ts'

/** Stands for peers on unix sockets, which have no address. */
const UNIX = 'unix'

export interface SmtpListenerOptions {
  /** The dialogue behind the protocol. */
  readonly intake: Intake
  /** An IP address. Default `127.0.0.1`: nobody is served from outside by omission. */
  readonly host?: string
  /** 0 for any free port. One of `port`, `path` and `fd` must be given. */
  readonly port?: number
  /** Listens on a unix socket instead: an absolute path. */
  readonly path?: string
  /** Permission bits of the unix socket: `0o660`. Default: what the umask leaves. */
  readonly mode?: number | undefined
  /** Listens on a socket the process has inherited instead (`inheritedSockets()` of the kernel). */
  readonly fd?: number
  /**
   * Who connects by a unix socket has no address. `loopback`: it counts as `127.0.0.1`, in policies too; rights on the
   * socket are then what protects it. Default `refuse`: nobody is taken for this host by omission.
   */
  readonly unixPeers?: 'refuse' | 'loopback'
  /** What the listener is for. Default `mx`. */
  readonly profile?: Profile
  /** Behind proxies: the PROXY protocol, required from these and nobody else is served. */
  readonly proxy?: ListenerProxies
  /** Hosts that may speak for others with XCLIENT and XFORWARD. Default: nobody. */
  readonly trusted?: TrustedHosts
  /** Default `smtp`. */
  readonly protocol?: 'smtp' | 'lmtp'
  /** `development`: a self-signed certificate made on the spot. The name of the listener says so in events. */
  readonly tls?: ListenerTls | 'development'
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

export interface ListenerProxies {
  /** Addresses and networks of the proxies, `10.0.0.0/8`; `unix` for whoever connects by a unix socket. */
  readonly from: readonly string[]
}

/** A certificate with its key. */
export interface TlsCertificate {
  /** PEM. */
  readonly key: string | Uint8Array
  /** PEM: the certificate and its chain. */
  readonly cert: string | Uint8Array
}

export interface ListenerTls extends TlsCertificate {
  /**
   * Other certificates, by the name the client asks for (SNI). `*.example.org` stands for one label. A function is asked
   * at each such handshake; give the same object for the same certificate, it is prepared once. Who asks for no name, or
   * for one that is not here, gets `cert`.
   */
  readonly contexts?: TlsContexts
  /** PEM: who may sign client certificates. */
  readonly ca?: string | Uint8Array
  /** Whether clients are asked for a certificate. Having none, or one that does not verify, is a fact and no failure. */
  readonly clientCertificates?: 'no' | 'ask'
  /** TLS after the STARTTLS command, or from the first byte. Default `starttls`. */
  readonly mode?: 'starttls' | 'implicit'
  /** Default `TLSv1.2`. */
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3'
  /** OpenSSL's names, joined by colons. Default: those of Node. */
  readonly ciphers?: string
  /** Groups for the key exchange, the preferred first: `['X25519', 'P-256']`. Default: those of OpenSSL. */
  readonly groups?: readonly string[]
  /** 48 secret bytes, the same on every host behind one name, so that a session resumes on any. Default: our own. */
  readonly ticketKeys?: Uint8Array
}

export type TlsContexts =
  | Readonly<Record<string, TlsCertificate>>
  | ((servername: string) => Awaitable<TlsCertificate | undefined>)

/** The options with every default filled in, times in ms. */
export interface ListenerConfig {
  readonly intake: Intake
  readonly listen: ListenTarget
  readonly unixPeers: 'refuse' | 'loopback'
  readonly protocol: 'smtp' | 'lmtp'
  readonly profile: Profile
  readonly proxy: ProxyRules | undefined
  readonly trusted: TrustRules | undefined
  readonly tls: (ListenerTls & { readonly mode: 'starttls' | 'implicit' }) | undefined
  /** Whether the certificate was made on the spot. */
  readonly certificate: 'given' | 'development'
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

export interface ProxyRules {
  readonly isProxy: (address: string) => boolean
  /** Whether peers on a unix socket are proxies. */
  readonly unix: 'proxy' | 'stranger'
}

/**
 * Fills in the defaults.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for a value that cannot work.
 */
export function listenerConfig(options: SmtpListenerOptions): ListenerConfig {
  const certificate = options.tls === 'development' ? 'development' : 'given'
  const tls: ListenerTls | undefined =
    options.tls === 'development' ? developmentCertificate(options.intake.hostname) : options.tls
  return {
    intake: options.intake,
    listen: listenTarget(options),
    unixPeers: options.unixPeers ?? 'refuse',
    protocol: options.protocol ?? 'smtp',
    profile: options.profile ?? 'mx',
    proxy: options.proxy && proxyRules(options.proxy),
    trusted: options.trusted && trustRules(options.trusted),
    tls: tls && { ...tls, mode: tls.mode ?? 'starttls' },
    certificate,
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

function listenTarget({ host, port, path, mode, fd, unixPeers, proxy }: SmtpListenerOptions): ListenTarget {
  if ([port, path, fd].filter((each) => each !== undefined).length !== 1) {
    throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', 'smtpListener: give one of port, path and fd')
  }
  if (port !== undefined) return { host: host ?? '127.0.0.1', port: within('port', port, 0, 65_535) }
  if (fd !== undefined) return { fd: within('fd', fd, 0) }
  if (!path?.startsWith('/')) {
    throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', 'smtpListener: the path of a unix socket must be absolute')
  }
  if (unixPeers !== 'loopback' && !proxy?.from.includes(UNIX)) {
    const problem = "smtpListener: a unix socket serves nobody without unixPeers: 'loopback' or 'unix' among proxy.from"
    throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', problem)
  }
  return { path, ...(mode === undefined ? {} : { mode: within('mode', mode, 0, 0o777) }) }
}

function proxyRules({ from }: ListenerProxies): ProxyRules {
  return {
    isProxy: addressList(
      'proxy.from',
      from.filter((each) => each !== UNIX),
    ),
    unix: from.includes(UNIX) ? 'proxy' : 'stranger',
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
