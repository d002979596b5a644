/**
 * TLS session tickets, so that the next connection to a server needs half a handshake (RFC 8446 §2.2). In memory; the
 * oldest go first. A ticket serves only where the same proof is asked for: see `mayResume`.
 */
import type { TlsTickets } from '@mailwright/core'
import type { TlsRequirement } from './tls-requirement.ts'

const MAX_TICKETS = 1_000

export class TicketBox {
  readonly #tickets = new Map<string, Uint8Array>()

  /** The tickets of a server. */
  of(host: string, port: number, { minVersion }: TlsRequirement): TlsTickets {
    const tickets = this.#tickets
    const key = `${host}:${port} ${minVersion ?? ''}`
    return {
      get ticket(): Uint8Array | undefined {
        return tickets.get(key)
      },
      keep(ticket: Uint8Array): void {
        tickets.delete(key)
        tickets.set(key, ticket)
        if (tickets.size > MAX_TICKETS) for (const [oldest] of tickets) return void tickets.delete(oldest)
      },
    }
  }
}

/**
 * Whether a resumed session proves as much as a full handshake. It carries the server's own certificate and whether Node's
 * authorities vouched for it, but no chain for DANE, and not what another set of authorities would say.
 */
export function mayResume({ proof }: TlsRequirement): boolean {
  return proof === undefined || proof.by === 'fingerprint' || (proof.by === 'authority' && proof.ca === undefined)
}
