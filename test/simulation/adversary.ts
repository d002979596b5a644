/**
 * Somebody who crashes a server at the worst moment. He counts what the server does to the world, every change of its
 * store, every connection it makes and every write to the network, and ends its life at the n-th of them. And he owns
 * the disk: what the store has begun and not acknowledged when the crash comes is lost, or there all the same, or every
 * second of it.
 */
import type { Call, ConnectTarget, Listening, ListenTarget, Network, Wire } from '@mailwright/core'
import { MemoryWire } from '@mailwright/testing'
import { never } from './life.ts'
import type { Adversary } from './mail-server.ts'
import type { Side } from './mortal-store.ts'

/** What becomes of that which is not acknowledged; `lost`: the n-th effect, too, does not happen any more. */
export type Disk = 'lost' | 'kept' | 'torn'
export const DISKS: readonly Disk[] = ['lost', 'kept', 'torn']

export interface CountingAdversary extends Adversary {
  /** Effects so far. */
  readonly effects: number
  /** The network as the server may use it: every write of its is an effect. */
  watched(net: Network): Network
}

export interface AdversaryOptions {
  readonly disk: Disk
  /** At which effect he strikes; undefined: never, he only counts. */
  readonly point: number | undefined
  readonly strike: (what: string) => void
}

/** Operations that change what is stored. */
const CHANGES = new Set([
  ...['put', 'settle', 'hold', 'release', 'reschedule', 'instruct', 'remove', 'suspend', 'resume'],
])
const SYNC_MS = 5

/** Waits for its moment, once. */
export function adversary({ disk, point, strike }: AdversaryOptions): CountingAdversary {
  let effects = 0
  let changes = 0
  /** Connections of the program that lives. */
  let wires = new Set<Wire>()

  function passing(what: string, side: Side): void {
    if (side !== (disk === 'lost' ? 'before' : 'after')) return
    effects += 1
    if (effects !== point) return
    // A dead program has no errors that somebody should have heard, and says nothing more.
    for (const wire of wires) wire.on('error', () => {})
    wires = new Set()
    strike(`at effect ${point}, ${what}, with the disk ${disk}`)
  }

  /** A write counts when it leaves, or when the other side has it. */
  function watch(wire: Wire): Wire {
    if (!(wire instanceof MemoryWire)) throw new Error('the network is not the one in memory')
    wires.add(wire)
    wire.once('close', () => wires.delete(wire))
    const [one, several] = [wire._write.bind(wire), wire._writev.bind(wire)]
    const counted = (write: (done: (error?: Error | null) => void) => void, done: (error?: Error | null) => void) => {
      if (wires.has(wire)) passing('write', 'before')
      if (!wires.has(wire)) return
      write((error) => {
        if (!error && wires.has(wire)) passing('write', 'after')
        done(error)
      })
    }
    wire._write = (chunk, encoding, done) => counted((after) => one(chunk, encoding, after), done)
    wire._writev = (chunks, done) => counted((after) => several(chunks, after), done)
    return wire
  }

  return {
    get effects(): number {
      return effects
    },
    passing(operation: string, side: Side): void {
      if (CHANGES.has(operation)) passing(operation, side)
    },
    lag(operation: string, side: Side): number {
      if (!CHANGES.has(operation)) return 0
      if (disk === 'torn' && side === 'before') changes += 1
      const lost = disk === 'lost' || (disk === 'torn' && changes % 2 === 0)
      return lost === (side === 'before') ? SYNC_MS : 0
    },
    watched: (net) => ({
      ...net,
      async connect(target: ConnectTarget, call: Call): Promise<Wire> {
        const life = wires
        passing('connect', 'before')
        if (life !== wires) return never()
        const wire = watch(await net.connect(target, call))
        passing('connect', 'after')
        return wire
      },
      listen: (target: ListenTarget, accept: (wire: Wire) => void): Promise<Listening> =>
        net.listen(target, (wire) => accept(watch(wire))),
    }),
  }
}
