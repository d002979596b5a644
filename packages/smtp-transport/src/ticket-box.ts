/**
 * TLS session tickets, so that the next connection to a server needs half a handshake (RFC 8446 §2.2). In memory; the
 * oldest go first. A resumed session shows no certificate: what the server showed in the full handshake is kept with
 * the ticket that came of it, and proves now what it proved then.
 */
import type { SecureWire, TlsTickets } from '@mailwright/core'
import type { TlsRequirement } from './tls-requirement.ts'

const MAX_TICKETS = 1_000

type Evidence = Pick<SecureWire, 'authorized' | 'trusted' | 'presented'>

interface Entry {
  readonly ticket: Uint8Array
  readonly evidence: Evidence
}

/** The tickets of one handshake. */
export interface HandshakeTickets extends TlsTickets {
  /** The wire with what the server has shown, now or in the handshake that it resumes. */
  proven(secured: SecureWire): SecureWire
}

export class TicketBox {
  readonly #entries = new Map<string, Entry>()

  /** For a handshake with a server. Other authorities would vouch for others, so tickets go by them. */
  of(host: string, port: number, { minVersion = 'TLSv1.2', proof }: TlsRequirement): HandshakeTickets {
    const authorities = proof?.by === 'authority' ? (proof.ca ?? []) : []
    const key = JSON.stringify([host, port, minVersion, authorities])
    const offered = this.#entries.get(key)
    let evidence: Evidence | undefined
    let early: Uint8Array | undefined
    const keep = (ticket: Uint8Array): void => {
      if (evidence === undefined) early = ticket
      else this.#keep(key, { ticket, evidence })
    }
    return {
      ticket: offered?.ticket,
      keep,
      proven(secured: SecureWire): SecureWire {
        if (secured.facts.resumed === true && offered !== undefined) evidence = offered.evidence
        else {
          const { authorized, trusted } = secured
          const shown = secured.presented()
          evidence = { authorized, trusted, presented: () => shown }
        }
        if (early !== undefined) keep(early)
        return { ...secured, ...evidence }
      },
    }
  }

  #keep(key: string, entry: Entry): void {
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    if (this.#entries.size <= MAX_TICKETS) return
    for (const oldest of this.#entries.keys()) {
      this.#entries.delete(oldest)
      return
    }
  }
}
