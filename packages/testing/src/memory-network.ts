/**
 * A network without sockets: listeners and wires in memory, in deterministic order, with faults on request.
 * Any address can be listened on; nothing outside the process can be reached. TLS is real (`node:tls` over the wires).
 */
import {
  type Call,
  type ClientTls,
  type Clock,
  type ConnectTarget,
  type Listening,
  type ListenTarget,
  MailwrightError,
  type Network,
  reply,
  type SecureWire,
  type Wire,
} from '@mailwright/core'
import { secureWire } from './memory-tls.ts'
import { type DirectionFaults, MemoryWire, type WireEnd } from './memory-wire.ts'

/** What may go wrong with one connection. */
export interface ConnectionFaults {
  /** Nobody answers at all: `connect` waits until its signal aborts. */
  readonly blackhole?: boolean | undefined
  readonly refuse?: boolean | undefined
  /** Faults of what the client writes. */
  readonly toServer?: DirectionFaults | undefined
  /** Faults of what the server writes. */
  readonly toClient?: DirectionFaults | undefined
  /** How long everything takes from one end to the other, on the network's clock. */
  readonly latencyMs?: number | undefined
}

export interface Connection {
  readonly from: WireEnd
  readonly to: WireEnd
}

export interface MemoryNetworkOptions {
  /** For latencies and the wires' idle time-outs; without it there are none. */
  readonly clock?: Clock | undefined
  /** Asked at each `connect`: what goes wrong this time. Draw from a seeded random to make it repeatable. */
  readonly faults?: ((connection: Connection) => ConnectionFaults | undefined) | undefined
}

export interface MemoryNetwork extends Network {
  /** Ends of connections that are not closed. Two for a healthy connection. */
  readonly open: number
  /** Listeners that are not closed. */
  readonly listening: number
  /** Every `connect` so far, also those refused. */
  readonly attempts: readonly Connection[]
  /** Breaks every connection to or from a host, or all: both ends get ECONNRESET. */
  cut(host?: string): void
  /** Throws, naming what is left over, unless every wire and listener is closed. */
  assertQuiet(): void
}

const LOCAL_HOST = '192.0.2.1'
const FIRST_EPHEMERAL = 49_152
const FIRST_FREE = 10_025

/**
 * Makes an in-memory network.
 *
 * @example
 * const net = memoryNetwork({ clock })
 * await net.listen({ host: '192.0.2.10', port: 25 }, (wire) => wire.end('421 4.3.2 busy\r\n'))
 * const wire = await net.connect({ host: '192.0.2.10', port: 25 }, { signal })
 */
export function memoryNetwork(options: MemoryNetworkOptions = {}): MemoryNetwork {
  const listeners = new Map<string, (wire: Wire) => void>()
  const wires = new Map<MemoryWire, string>()
  const attempts: Connection[] = []
  let nextPort = FIRST_EPHEMERAL

  function wireBetween(from: WireEnd, to: WireEnd, faults: ConnectionFaults, side: 'client' | 'server'): MemoryWire {
    const wire: MemoryWire = new MemoryWire({
      local: side === 'client' ? from : to,
      remote: side === 'client' ? to : from,
      clock: options.clock,
      latencyMs: faults.latencyMs,
      faults: side === 'client' ? faults.toServer : faults.toClient,
      closed: () => wires.delete(wire),
    })
    wires.set(wire, `${side}'s end of ${endName(from)} -> ${endName(to)}`)
    return wire
  }

  function open({ from, to }: Connection, faults: ConnectionFaults): Wire {
    const accept = faults.refuse ? undefined : (listeners.get(endName(to)) ?? listeners.get(anyHost(to)))
    if (accept === undefined) throw cannotConnect(to, 'connection refused')
    const client = wireBetween(from, to, faults, 'client')
    const server = wireBetween(from, to, faults, 'server')
    MemoryWire.join(client, server)
    accept(server)
    return client
  }

  return {
    connect(target: ConnectTarget, call: Call): Promise<Wire> {
      const from = { host: target.localAddress ?? LOCAL_HOST, port: nextPort++ }
      const to = { host: target.host, port: isPath(target.host) ? 0 : target.port }
      attempts.push({ from, to })
      const faults = options.faults?.({ from, to }) ?? {}
      return new Promise((resolve, reject) => {
        const abort = (): void => reject(cannotConnect(to, 'given up', call.signal.reason))
        if (call.signal.aborted) return abort()
        call.signal.addEventListener('abort', abort, { once: true })
        if (faults.blackhole) return
        const answer = (): void => {
          if (call.signal.aborted) return
          call.signal.removeEventListener('abort', abort)
          try {
            resolve(open({ from, to }, faults))
          } catch (error) {
            reject(error)
          }
        }
        if (options.clock !== undefined && faults.latencyMs) options.clock.after(2 * faults.latencyMs, answer)
        else setImmediate(answer)
      })
    },

    async listen(target: ListenTarget, accept: (wire: Wire) => void): Promise<Listening> {
      const address = boundTo(target, listeners)
      const name = endName(address)
      if (listeners.has(name)) {
        throw new MailwrightError('ERR_MAILWRIGHT_CONNECTION', `cannot listen on ${name}: address in use`)
      }
      listeners.set(name, accept)
      let listening = true
      return {
        address,
        async close(): Promise<void> {
          if (listening) listeners.delete(name)
          listening = false
        },
      }
    },

    secure(wire: Wire, tls: ClientTls, call: Call): Promise<SecureWire> {
      return secureWire(wire, tls, call)
    },

    get open(): number {
      return wires.size
    },
    get listening(): number {
      return listeners.size
    },
    attempts,
    cut(host?: string): void {
      for (const wire of wires.keys()) {
        if (host === undefined || wire.localAddress === host || wire.remoteAddress === host) {
          wire.destroy(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }))
        }
      }
    },
    assertQuiet(): void {
      const left = [...wires.values(), ...[...listeners.keys()].map((name) => `listener on ${name}`)]
      if (left.length > 0)
        throw new MailwrightError('ERR_MAILWRIGHT_UNEXPECTED', `left open on the network: ${left.join('; ')}`)
    },
  }
}

function cannotConnect(to: WireEnd, why: string, cause?: unknown): MailwrightError {
  return new MailwrightError('ERR_MAILWRIGHT_CONNECTION', `cannot connect to ${endName(to)}: ${why}`, {
    cause,
    reply: reply(421, '4.4.1', 'Connection refused'),
  })
}

/** An inherited socket is one on loopback, with a port of its own: there is nobody to inherit from. */
function boundTo(target: ListenTarget, listeners: ReadonlyMap<string, unknown>): WireEnd {
  if ('path' in target) return { host: target.path, port: 0 }
  if ('fd' in target) return { host: '127.0.0.1', port: freePort('127.0.0.1', listeners) }
  const { host, port } = target
  if (isPath(host)) return { host, port: 0 }
  return { host, port: port === 0 ? freePort(host, listeners) : port }
}

function isPath(host: string): boolean {
  return host.startsWith('/')
}

function endName({ host, port }: WireEnd): string {
  if (isPath(host)) return host
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

function anyHost({ host, port }: WireEnd): string {
  return endName({ host: host.includes(':') ? '::' : '0.0.0.0', port })
}

function freePort(host: string, listeners: ReadonlyMap<string, unknown>): number {
  let port = FIRST_FREE
  while (listeners.has(endName({ host, port }))) port++
  return port
}
