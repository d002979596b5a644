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
import type { Counted, RateConfig } from './client-rates.ts'
import { developmentCertificate } from './development-certificate.ts'
import { type Extension, type Extensions, extensionsOf } from './extension.ts'
import type { NetworkBits } from './network-of.ts'
import type { PassedClients } from './passed-clients.ts'
import type { ProtocolTest, TestActions } from './protocol-tests.ts'
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
  /** The same for one client network (`networks`). Default 50. */
  readonly maxConnectionsPerAddress?: number
  /** Addresses to which no limit per client, no rate and no test applies. Default: loopback. */
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
  /** Checks who clients are (RFC 4954). Without one, AUTH is not offered. */
  readonly auth?: Authenticator
  /** Whether AUTH is offered and taken in clear text. Default `never`: `538 5.7.11`. */
  readonly authWithoutTls?: 'never' | 'allowed'
  /** Failed authentications of one connection; the next one is `421 4.7.0` and the end. Default 3. */
  readonly maxAuthFailures?: number
  /** Keywords and verbs of the host's own. */
  readonly extensions?: readonly Extension[]
  /** Errors of a client, without a message coming through, from which each reply waits for `errorSleep`. Default 10. */
  readonly softErrorLimit?: number
  /** Errors of a client, without a message coming through, after which it gets `421 4.7.0`. Default 20. */
  readonly hardErrorLimit?: number
  /** Default `1s`; 0 for none. */
  readonly errorSleep?: Duration
  /** What counts as an error: also what the intake refuses, such as unknown users, or only our own refusals. Default `all`. */
  readonly errors?: 'all' | 'own'
  /** What one client network may do in a unit of time. Default: no limits. */
  readonly rates?: RateOptions
  /** How many bits of an address make a client network. Default `{ ipv4: 32, ipv6: 64 }`. */
  readonly networks?: Partial<NetworkBits>
  /** Bytes of messages in transit that may be held in memory before no more are read. Default 256 MiB. */
  readonly memoryBudget?: number
  /** When clients get less time and fewer errors. */
  readonly stress?: StressOptions
  /** Tests of the client's manners, as postscreen's. Default: none. */
  readonly protocolTests?: ProtocolTestOptions
}

export interface StressOptions {
  /** Of `maxConnections` in progress, the share over which there is stress. Default 0.8. */
  readonly share?: number
  /** Every time-out for a silent client, if it is longer. Default `10s`. */
  readonly timeout?: Duration
  /** Default 1. */
  readonly hardErrorLimit?: number
}

/** Limits per client network and unit of time; what is absent has none. Exempt addresses have none at all. */
export interface RateOptions extends Readonly<Partial<Record<Counted, number>>> {
  /** Default `60s`. */
  readonly unit?: Duration
  /** Networks remembered at a time. Default 10,000. */
  readonly remembered?: number
}

export interface ProtocolTestOptions extends TestActions {
  /** How long the second half of the greeting is held back, to catch early talkers. Under stress at most 2 s. Default: not at all. */
  readonly greetDelay?: Duration
  /** Where it is remembered who has passed. Default: nowhere, each session is tested. */
  readonly passed?: PassedClients
  /** How long a passed test is good. Default `1d` for early talkers, `30d` for the others. */
  readonly passedFor?: Readonly<Partial<Record<ProtocolTest, Duration>>>
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
  readonly auth: AuthenticationRules | undefined
  readonly extensions: Extensions | undefined
  readonly softErrorLimit: number
  readonly hardErrorLimit: number
  readonly errorSleepMs: number
  readonly errors: 'all' | 'own'
  readonly rates: RateConfig | undefined
  readonly networks: NetworkBits
  readonly memoryBudget: number
  readonly stress: { readonly share: number; readonly timeoutMs: number; readonly hardErrorLimit: number }
  readonly protocolTests: ProtocolTestConfig | undefined
}

export interface ProxyRules {
  readonly isProxy: (address: string) => boolean
  /** Whether peers on a unix socket are proxies. */
  readonly unix: 'proxy' | 'stranger'
}

export interface ProtocolTestConfig {
  readonly actions: TestActions
  readonly greetDelayMs: number
  readonly passed: PassedClients | undefined
  readonly passedForMs: Readonly<Record<ProtocolTest, number>>
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
    auth: options.auth && {
      authenticator: options.auth,
      hostname: options.intake.hostname,
      withoutTls: options.authWithoutTls ?? 'never',
      maxFailures: within('maxAuthFailures', options.maxAuthFailures ?? 3, 0),
    },
    extensions: extensionsOf(options.extensions),
    softErrorLimit: within('softErrorLimit', options.softErrorLimit ?? 10, 1),
    hardErrorLimit: within('hardErrorLimit', options.hardErrorLimit ?? 20, 1),
    errorSleepMs: milliseconds(options.errorSleep ?? '1s'),
    errors: options.errors ?? 'all',
    rates: options.rates && rateConfig(options.rates),
    networks: {
      ipv4: within('networks.ipv4', options.networks?.ipv4 ?? 32, 1, 32),
      ipv6: within('networks.ipv6', options.networks?.ipv6 ?? 64, 1, 128),
    },
    memoryBudget: within('memoryBudget', options.memoryBudget ?? 268_435_456, 1),
    stress: stressConfig(options.stress ?? {}),
    protocolTests: options.protocolTests && protocolTestConfig(options.protocolTests),
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

function stressConfig({ share = 0.8, timeout, hardErrorLimit }: StressOptions): ListenerConfig['stress'] {
  if (!(share > 0 && share <= 1)) {
    throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `smtpListener: stress.share cannot be ${String(share)}`)
  }
  return {
    share,
    timeoutMs: milliseconds(timeout ?? '10s'),
    hardErrorLimit: within('stress.hardErrorLimit', hardErrorLimit ?? 1, 1),
  }
}

function rateConfig(options: RateOptions): RateConfig {
  const limit = (what: Counted): number => {
    const most = options[what]
    return most === undefined ? Number.POSITIVE_INFINITY : within(`rates.${what}`, most, 1)
  }
  return {
    connections: limit('connections'),
    messages: limit('messages'),
    recipients: limit('recipients'),
    failedAuthentications: limit('failedAuthentications'),
    tlsHandshakes: limit('tlsHandshakes'),
    unitMs: milliseconds(options.unit ?? '60s'),
    remembered: within('rates.remembered', options.remembered ?? 10_000, 1),
  }
}

function protocolTestConfig({ greetDelay, passed, passedFor, ...actions }: ProtocolTestOptions): ProtocolTestConfig {
  return {
    actions,
    greetDelayMs: greetDelay === undefined ? 0 : milliseconds(greetDelay),
    passed,
    passedForMs: {
      earlyTalker: milliseconds(passedFor?.earlyTalker ?? '1d'),
      pipelining: milliseconds(passedFor?.pipelining ?? '30d'),
      bareNewline: milliseconds(passedFor?.bareNewline ?? '30d'),
      otherProtocol: milliseconds(passedFor?.otherProtocol ?? '30d'),
    },
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
