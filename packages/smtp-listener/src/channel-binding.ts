/**
 * Channel binding (RFC 9266): a value both ends of a TLS channel can compute and nobody in between. Only for TLS 1.3: of
 * an older channel Node does not say whether it has the extended master secret, without which the value proves nothing.
 */
import type { TLSSocket } from 'node:tls'
import type { ChannelBinding } from '@mailwright/core'

/** The binding of a channel whose handshake is done; undefined where there is none. Never throws. */
export function channelBindingOf(socket: TLSSocket): ChannelBinding | undefined {
  if (socket.getProtocol() !== 'TLSv1.3') return undefined
  try {
    return { type: 'tls-exporter', data: socket.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0)) }
  } catch {
    // The channel is gone, or cannot export: mechanisms that need a binding are not to be had then.
    return undefined
  }
}
