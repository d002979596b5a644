/**
 * Where a listener stands behind proxies (PROXY protocol): takes the header off each connection before anything else
 * happens to it, and lets it in with the addresses of the real client.
 *
 * Only the proxies that were named are listened to. Everybody else, a header that is none, and one that does not come in
 * time are cut off without a word: a proxy reads no SMTP, and its client is not known yet. Each is an event.
 */
import { type Clock, type Peer, type Reply, reply, type Timer, type Wire } from '@mailwright/core'
import { type ProxyHeader, type ProxyHeaderReader, proxyHeaderReader } from './proxy-header.ts'

/** How long a proxy may take for its header. */
const HEADER_MS = 5_000

/** Only for the event: nothing is sent. */
const NO_HEADER: Reply = reply(421, '4.7.0', 'No PROXY header')
const NO_PROXY: Reply = reply(554, '5.7.1', 'Not one of our proxies')

export interface ProxyGateHost {
  readonly clock: Clock
  /** Whether a peer may speak for others; undefined for a peer without an address. */
  trusts(peer: Peer | undefined): boolean
  /** Lets a connection in. What came behind the header is in the wire again, which is paused. */
  admit(wire: Wire, proxy: Peer | undefined, header: ProxyHeader): void
  refused(proxy: Peer | undefined, refusal: Reply, reason: string): void
}

interface Waiting {
  readonly wire: Wire
  readonly proxy: Peer | undefined
  readonly reader: ProxyHeaderReader
  readonly timer: Timer
}

export class ProxyGate {
  readonly #host: ProxyGateHost
  readonly #most: number
  readonly #waiting = new Set<Waiting>()

  /** At most so many wait for their headers at a time. */
  constructor(host: ProxyGateHost, most: number) {
    this.#host = host
    this.#most = most
  }

  /** Waits for the header of a connection. `proxy` is who made it. */
  enter(wire: Wire, proxy: Peer | undefined): void {
    wire.on('error', ignore)
    if (!this.#host.trusts(proxy)) {
      this.#turnAway(wire, proxy, NO_PROXY, 'not one of the proxies')
      return
    }
    if (this.#waiting.size >= this.#most) {
      this.#turnAway(wire, proxy, NO_HEADER, 'too many connections')
      return
    }
    const timer = this.#host.clock.after(HEADER_MS, () => this.#fail(waiting, 'no PROXY header in time'))
    const waiting: Waiting = { wire, proxy, reader: proxyHeaderReader(), timer }
    this.#waiting.add(waiting)
    const read = (bytes: Buffer): void => {
      // Turned away already: what was under way still comes.
      if (!this.#waiting.has(waiting)) return
      const answer = waiting.reader.push(bytes)
      if (answer === 'more') return
      if (answer.kind === 'problem') {
        this.#fail(waiting, answer.problem)
        return
      }
      wire.off('data', read)
      wire.off('close', gone)
      wire.off('error', ignore)
      wire.pause()
      this.#forget(waiting)
      if (answer.rest.length > 0) wire.unshift(answer.rest)
      this.#host.admit(wire, proxy, answer)
    }
    const gone = (): void => this.#forget(waiting)
    wire.on('data', read)
    wire.once('close', gone)
  }

  /** Cuts off whoever still owes a header. */
  close(): void {
    for (const waiting of this.#waiting) {
      this.#forget(waiting)
      waiting.wire.destroy()
    }
  }

  #fail(waiting: Waiting, reason: string): void {
    this.#forget(waiting)
    this.#turnAway(waiting.wire, waiting.proxy, NO_HEADER, reason)
  }

  #turnAway(wire: Wire, proxy: Peer | undefined, refusal: Reply, reason: string): void {
    wire.destroy()
    this.#host.refused(proxy, refusal, reason)
  }

  #forget(waiting: Waiting): void {
    waiting.timer.cancel()
    this.#waiting.delete(waiting)
  }
}

function ignore(): void {}
