/** Who is at the other end of a wire, and how the connection is secured. */
import type { TLSSocket } from 'node:tls'
import type { Peer, TlsFacts, Wire } from '@mailwright/core'

/** What a peer on a unix socket counts as, where it counts: it has no address, but it is on this host. */
export const UNIX_PEER: Peer = { address: '127.0.0.1', port: 0 }

/** The client of a wire; undefined when it has gone already, so that nobody is taken for somebody else. */
export function clientOf(wire: Wire): Peer | undefined {
  if (wire.destroyed || wire.remoteAddress === undefined) return undefined
  return { address: plainAddress(wire.remoteAddress), port: wire.remotePort ?? 0 }
}

/** Our end of a wire. */
export function serverOf(wire: Wire): Peer {
  return { address: plainAddress(wire.localAddress ?? ''), port: wire.localPort ?? 0 }
}

/** What the handshake came to. */
export function tlsFacts(socket: TLSSocket): TlsFacts {
  const protocol = socket.getProtocol() ?? 'unknown'
  const cipher = socket.getCipher()?.name ?? 'unknown'
  const facts: TlsFacts = socket.isSessionReused() ? { protocol, cipher, resumed: true } : { protocol, cipher }
  // `false` when the client did not ask for a name, whatever the type says.
  const servername: unknown = (socket as unknown as { readonly servername?: unknown }).servername
  return typeof servername === 'string' && servername !== '' ? { ...facts, servername } : facts
}

/** Without zone, and an IPv4-mapped address as IPv4, however it is written. */
function plainAddress(address: string): string {
  if (!address.includes(':')) return address
  const zone = address.indexOf('%')
  const bare = zone < 0 ? address : address.slice(0, zone)
  return /^::ffff:\d+\.\d+\.\d+\.\d+$/i.test(bare) ? bare.slice(7) : bare.toLowerCase()
}
