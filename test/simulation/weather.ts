/**
 * The network between the hosts, with the faults of the season: connections refused, unanswered, slow, cut after so many
 * bytes of either direction, or silent from some byte on. It remembers what became of each connection, by the port of
 * the client's end, so that a lost answer can be told from an answer that was not heeded.
 */
import type { Call, Clock, ConnectTarget, Listening, ListenTarget, Network, Random, Wire } from '@mailwright/core'
import {
  type Connection,
  type ConnectionFaults,
  type MemoryNetwork,
  type MemoryWire,
  memoryNetwork,
} from '@mailwright/testing'
import { between, chance, pick } from './dice.ts'

export interface Weather {
  /** For every host: the faults are in it. */
  readonly net: Network
  /** The same as the test sees it. */
  readonly memory: MemoryNetwork
  /** Connections that were spoilt. */
  readonly spoilt: number
  /** Why an answer may not have come through on the connection; undefined when it must have. */
  excuse(port: number): string | undefined
  /** The server swallowed its answer on this connection. */
  unanswered(port: number): void
}

export interface WeatherOptions {
  readonly clock: Clock
  readonly random: Random
  /** How likely a connection is spoilt, now. */
  readonly storminess: () => number
  /** A host where nobody answers at all. */
  readonly silentHost: string | undefined
}

interface Trip {
  readonly faults: ConnectionFaults
  client?: MemoryWire
  server?: MemoryWire
}

/** A network with weather. */
export function weather({ clock, random, storminess, silentHost }: WeatherOptions): Weather {
  const trips = new Map<number, Trip>()
  const unanswered = new Set<number>()
  let spoilt = 0

  function faultsOf({ from, to }: Connection): ConnectionFaults {
    const faults =
      to.host === silentHost ? { blackhole: true } : chance(random, storminess()) === 'yes' ? spoil(random) : CALM
    if (faults !== CALM) spoilt += 1
    trips.set(from.port, { faults })
    return faults
  }

  const memory = memoryNetwork({ clock, faults: faultsOf })
  const net: Network = {
    async connect(target: ConnectTarget, call: Call): Promise<Wire> {
      const wire = (await memory.connect(target, call)) as MemoryWire
      trips.get(wire.localPort)!.client = wire
      return wire
    },
    listen: (target: ListenTarget, accept: (wire: Wire) => void): Promise<Listening> =>
      memory.listen(target, (wire) => {
        const server = wire as MemoryWire
        trips.get(server.remotePort)!.server = server
        accept(server)
      }),
    secure: (wire, tls, call) => memory.secure(wire, tls, call),
  }

  return {
    net,
    memory,
    get spoilt(): number {
      return spoilt
    },
    excuse(port: number): string | undefined {
      const trip = trips.get(port)
      if (trip === undefined) return 'there was no such connection'
      if (unanswered.has(port)) return 'the server said nothing'
      if (wasReset(trip.client) || wasReset(trip.server)) return 'the connection was cut'
      const audible = trip.faults.toClient?.dropAfterBytes ?? Number.POSITIVE_INFINITY
      return (trip.server?.bytesWritten ?? 0) > audible ? 'the answer was swallowed' : undefined
    },
    unanswered(port: number): void {
      unanswered.add(port)
    },
  }
}

const CALM: ConnectionFaults = {}

/** Where it hurts: a dialogue is a few hundred bytes each way, and the answer to the final dot is among the last. */
function spoil(random: Random): ConnectionFaults {
  const latencyMs = pick(random, [undefined, undefined, 20, 1_500])
  switch (pick(random, KINDS)) {
    case 'refused':
      return { refuse: true }
    case 'unanswered':
      return { blackhole: true }
    case 'slow':
      return { latencyMs: latencyMs ?? 300 }
    case 'cut to server':
      return { latencyMs, toServer: { cutAfterBytes: between(random, 0, pick(random, [200, 1_500, 6_000])) } }
    case 'cut to client':
      return { latencyMs, toClient: { cutAfterBytes: between(random, 0, pick(random, [450, 450, 900, 2_000])) } }
    case 'silent to server':
      return { latencyMs, toServer: { dropAfterBytes: between(random, 0, 1_000) } }
    case 'silent to client':
      return { latencyMs, toClient: { dropAfterBytes: between(random, 0, 450) } }
  }
}

const KINDS = [
  'refused',
  'unanswered',
  'slow',
  'cut to server',
  'cut to server',
  'cut to client',
  'cut to client',
  'cut to client',
  'silent to server',
  'silent to client',
] as const

function wasReset(wire: MemoryWire | undefined): boolean {
  return (wire?.errored as NodeJS.ErrnoException | null | undefined)?.code === 'ECONNRESET'
}
