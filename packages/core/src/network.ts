/** Byte streams between hosts: sockets in production, memory in tests. */
import type { Duplex } from 'node:stream'
import type { Call } from './call.ts'
import type { TlsFacts } from './session.ts'

/** A connected byte stream. A `net.Socket` is one; so is either end of the in-memory network's pipes. */
export interface Wire extends Duplex {
  readonly remoteAddress?: string | undefined
  readonly remotePort?: number | undefined
  readonly localAddress?: string | undefined
  readonly localPort?: number | undefined
}

export interface ConnectTarget {
  /** An IP address, or the path of a unix socket. Names are resolved before, never here. */
  readonly host: string
  readonly port: number
  /** The address to connect from. */
  readonly localAddress?: string | undefined
}

/** A place to listen on: an address, a unix socket, or a socket that somebody has opened for us. */
export type ListenTarget = ListenAddress | ListenPath | ListenDescriptor

export interface ListenAddress {
  /** An IP address. */
  readonly host: string
  /** 0 for any free port. */
  readonly port: number
}

export interface ListenPath {
  /** Absolute path of a unix socket. One left behind that nobody answers is replaced, anything else there is an error. */
  readonly path: string
  /** Permission bits of the socket: `0o660`. Default: what the umask leaves. */
  readonly mode?: number | undefined
}

export interface ListenDescriptor {
  /** A listening stream socket that this process has inherited, e.g. by systemd's socket activation. */
  readonly fd: number
}

export interface Listening {
  /** Where it listens, to connect to. Of a unix socket the path is `host`, and `port` is 0. */
  readonly address: ListenAddress
  /** Stops accepting. Connections already made live on. */
  close(): Promise<void>
}

export interface ClientTls {
  /** The name to ask for and, if verified, to match. */
  readonly servername?: string | undefined
  /** `true`: refuse a certificate that does not verify; `false`: opportunistic, anything is better than clear text. */
  readonly verify: boolean
  readonly ca?: readonly (string | Uint8Array)[] | undefined
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3' | undefined
  /** Where the ticket of an earlier session is, and new ones are kept. Default: every handshake is a full one. */
  readonly tickets?: TlsTickets | undefined
}

/**
 * The session tickets of one server. A session that is resumed (`facts.resumed`) shows no certificates: what it proves is
 * what the handshake proved that the ticket came of, and whoever keeps tickets keeps that too.
 */
export interface TlsTickets {
  /** The newest, if there is one. */
  readonly ticket: Uint8Array | undefined
  keep(ticket: Uint8Array): void
}

export interface SecureWire {
  readonly wire: Wire
  readonly facts: TlsFacts
  /** Whether the certificate chain verified and matched the name. */
  readonly authorized: boolean
  /** Whether the chain verified up to an authority, whatever the name. */
  readonly trusted: boolean
  /** The certificates the server showed, in DER, its own first. */
  presented(): readonly Uint8Array[]
}

export interface Network {
  /** Rejects with `ERR_MAILWRIGHT_CONNECTION` when no connection can be made, or when the signal aborts. */
  connect(target: ConnectTarget, call: Call): Promise<Wire>
  /** Calls `accept` for each connection. Rejects when the address cannot be had. */
  listen(target: ListenTarget, accept: (wire: Wire) => void): Promise<Listening>
  /** Runs a TLS handshake as the client over a connected wire. Rejects, and destroys the wire, when it fails. */
  secure(wire: Wire, tls: ClientTls, call: Call): Promise<SecureWire>
}
