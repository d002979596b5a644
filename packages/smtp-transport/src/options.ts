/** What a host program may set, and the same with defaults filled in and units gone. */
import { type Duration, MailwrightError, milliseconds, type StsPolicies } from '@mailwright/core'
import type { MxAddresses } from './address-range.ts'
import { checkCredentials, type SmtpCredentialsSource } from './credentials.ts'
import { nextHopList, parseNextHop } from './next-hop.ts'
import { type TlsPolicies, type TlsPolicyFinder, tlsPolicyFinder } from './tls-policy.ts'

/** Which of a host's addresses are used, and in which order. */
export type AddressFamilies = 'ipv4-first' | 'ipv6-first' | 'ipv4' | 'ipv6'

/** How long each stage of the dialogue may take (RFC 5321 §4.5.3.2). */
export interface StageTimeouts<T = Duration> {
  /** Until the 220 after connecting. Default 5m. */
  readonly greeting: T
  /** EHLO, HELO, STARTTLS and the TLS handshake, each. Default 5m. */
  readonly helo: T
  /** Default 5m. */
  readonly mail: T
  /** For each recipient. Default 5m. */
  readonly rcpt: T
  /** From DATA to 354. Default 2m. */
  readonly dataInit: T
  /** For each block of the message until the network has taken it. Default 3m. */
  readonly dataBlock: T
  /** From the final dot to its reply. Default 10m: giving up early makes duplicates. */
  readonly dataEnd: T
  /** RSET. Default 20s. */
  readonly reset: T
  /** QUIT: nobody waits for it. Default 5s. */
  readonly quit: T
}

export interface SmtpTransportOptions {
  /** `lmtp` (RFC 2033): LHLO, one answer for each recipient after the final dot, and no MX. Default `smtp`. */
  readonly protocol?: 'smtp' | 'lmtp' | undefined
  /** The block's and the transport's name, as lanes use it. Default: the protocol. */
  readonly name?: string | undefined
  /** Our name in EHLO. An MX record that names it means a loop. */
  readonly hostname: string
  /**
   * Where everything goes, whatever the lane says: `[host]:port` for a host, `example.com` for that domain's MXs,
   * `unix:/path` for a socket; several, with commas between, are tried in order. So are those of a lane.
   */
  readonly nextHop?: string | undefined
  /** Where mail goes that no server of its destination takes a connection for, tried in order. Default: nowhere. */
  readonly fallback?: readonly string[] | undefined
  /** What TLS destinations need: a level or policy for all, or a table, or a function. Default `may`. */
  readonly tls?: TlsPolicies | undefined
  /** Who we are to servers (RFC 4954). Default: nobody in particular. */
  readonly auth?: SmtpCredentialsSource | undefined
  /** Whether credentials may go in clear text. Default `never`: TLS is then required wherever there are any. */
  readonly authWithoutTls?: 'never' | 'allowed' | undefined
  /** Where MTA-STS policies come from (RFC 8461). Default: nobody asks for them. */
  readonly mtaSts?: StsPolicies | undefined
  /** The port where the next hop names none. Default 25, for LMTP 24. */
  readonly port?: number | undefined
  /** What an address found by MX may be. Default `not-loopback`. */
  readonly mxAddresses?: MxAddresses | undefined
  /**
   * Whether senders are offered BINARYMIME on behalf of this transport. Default `not-offered`: few servers take binary
   * mail, and whoever is offered to send it does.
   */
  readonly binaryMime?: 'offered' | 'not-offered' | undefined
  /** Default `ipv4-first`. */
  readonly addressFamilies?: AddressFamilies | undefined
  /** How long a connection without work is kept. Default 2s. */
  readonly idleTimeout?: Duration | undefined
  /** How old a connection may become before it takes no more work. Default 5m. */
  readonly maxConnectionAge?: Duration | undefined
  /** Default 20. */
  readonly maxConnectionsPerDestination?: number | undefined
  /** Default 1000. */
  readonly maxMessagesPerConnection?: number | undefined
  /** How many addresses one attempt tries to connect to. Default 5. */
  readonly maxAddresses?: number | undefined
  /** How many hosts one attempt talks to before it gives up. Default 2. */
  readonly maxSessions?: number | undefined
  /** For one address. Default 30s. */
  readonly connectTimeout?: Duration | undefined
  readonly timeouts?: Partial<StageTimeouts> | undefined
}

export interface Settings {
  readonly protocol: 'smtp' | 'lmtp'
  readonly name: string
  readonly hostname: string
  readonly nextHop: string | undefined
  readonly fallback: readonly string[]
  readonly tlsFor: TlsPolicyFinder
  readonly auth: SmtpCredentialsSource | undefined
  readonly authWithoutTls: 'never' | 'allowed'
  readonly mtaSts: StsPolicies | undefined
  readonly port: number
  readonly mxAddresses: MxAddresses
  readonly addressFamilies: AddressFamilies
  readonly binaryMime: 'offered' | 'not-offered'
  readonly idleMs: number
  readonly maxAgeMs: number
  readonly maxConnections: number
  readonly maxMessages: number
  readonly maxAddresses: number
  readonly maxSessions: number
  readonly connectMs: number
  readonly timeoutsMs: StageTimeouts<number>
}

const TIMEOUTS: StageTimeouts = {
  greeting: '5m',
  helo: '5m',
  mail: '5m',
  rcpt: '5m',
  dataInit: '2m',
  dataBlock: '3m',
  dataEnd: '10m',
  reset: '20s',
  quit: '5s',
}

/** Fills in the defaults. Throws `ERR_MAILWRIGHT_CONFIG` for values that cannot work. */
export function settingsOf(options: SmtpTransportOptions): Settings {
  const protocol = options.protocol ?? 'smtp'
  const port = options.port ?? (protocol === 'lmtp' ? 24 : 25)
  if (!/^[\x21-\x7e]{1,255}$/.test(options.hostname)) throw unusable('hostname', options.hostname)
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw unusable('port', port)
  const fallback = options.fallback ?? []
  const nextHops = options.nextHop === undefined ? [] : nextHopList(options.nextHop)
  if (nextHops.some((each) => parseNextHop(each, port) === undefined)) throw unusable('nextHop', options.nextHop)
  if (fallback.some((each) => parseNextHop(each, port) === undefined)) throw unusable('fallback', fallback)
  checkCredentials(options.auth)
  const timeoutMs = (stage: keyof StageTimeouts): number => milliseconds(options.timeouts?.[stage] ?? TIMEOUTS[stage])
  return {
    protocol,
    name: options.name ?? protocol,
    hostname: options.hostname,
    nextHop: options.nextHop,
    fallback,
    tlsFor: tlsPolicyFinder(options.tls ?? 'may'),
    auth: options.auth,
    authWithoutTls: options.authWithoutTls ?? 'never',
    mtaSts: options.mtaSts,
    port,
    mxAddresses: options.mxAddresses ?? 'not-loopback',
    addressFamilies: options.addressFamilies ?? 'ipv4-first',
    binaryMime: options.binaryMime ?? 'not-offered',
    idleMs: milliseconds(options.idleTimeout ?? '2s'),
    maxAgeMs: milliseconds(options.maxConnectionAge ?? '5m'),
    maxConnections: atLeastOne('maxConnectionsPerDestination', options.maxConnectionsPerDestination ?? 20),
    maxMessages: atLeastOne('maxMessagesPerConnection', options.maxMessagesPerConnection ?? 1_000),
    maxAddresses: atLeastOne('maxAddresses', options.maxAddresses ?? 5),
    maxSessions: atLeastOne('maxSessions', options.maxSessions ?? 2),
    connectMs: milliseconds(options.connectTimeout ?? '30s'),
    timeoutsMs: {
      greeting: timeoutMs('greeting'),
      helo: timeoutMs('helo'),
      mail: timeoutMs('mail'),
      rcpt: timeoutMs('rcpt'),
      dataInit: timeoutMs('dataInit'),
      dataBlock: timeoutMs('dataBlock'),
      dataEnd: timeoutMs('dataEnd'),
      reset: timeoutMs('reset'),
      quit: timeoutMs('quit'),
    },
  }
}

function atLeastOne(option: string, value: number): number {
  if (!(value >= 1)) throw unusable(option, value)
  return value
}

function unusable(option: string, value: unknown): MailwrightError {
  return new MailwrightError('ERR_MAILWRIGHT_CONFIG', `smtpTransport: ${option} cannot be ${JSON.stringify(value)}`)
}
