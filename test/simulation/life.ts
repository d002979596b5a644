/**
 * One run of a program, from start to crash. Its environment is the world's, seen through a veil that falls when the life
 * ends: timers never fire again, questions are never answered, connections are cut and listeners are gone. The code of
 * the dead program is still in memory and may go on for a few ticks, as no crashed process could; nothing it does then
 * reaches the world, because every promise it waits for stays open for ever.
 */
import type {
  Call,
  ClientTls,
  Clock,
  ConnectTarget,
  DnsAnswer,
  Environment,
  Listening,
  ListenTarget,
  Network,
  Random,
  RecordType,
  RecordTypes,
  Resolver,
  SecureWire,
  Timer,
  Wire,
} from '@mailwright/core'

/** What all lives on one host share. */
export interface Surroundings {
  readonly clock: Clock
  readonly dns: Resolver
  readonly net: Network
  /** The host's address: where its connections come from. */
  readonly host: string
  /** Breaks every connection of the host. */
  cut(): void
}

export interface Life {
  readonly alive: boolean
  readonly environment: Environment
  /** Timers that would still fire. */
  readonly timers: number
  /** The program dies: now, wherever it stands. */
  end(): void
}

/** Begins a life. `random` is its own, so that what a dead program still draws disturbs nobody. */
export function beginLife(surroundings: Surroundings, random: Random): Life {
  const { clock, dns, net, host } = surroundings
  const armed = new Set<Timer>()
  const listenings = new Set<Listening>()
  let alive = true

  /** The promise's end as the program sees it: after death it sees nothing. */
  function seen<T>(promise: Promise<T>, late: (value: T) => void = ignore): Promise<T> {
    return new Promise((resolve, reject) => {
      promise.then(
        (value) => (alive ? resolve(value) : late(value)),
        (error: unknown) => {
          if (alive) reject(error)
        },
      )
    })
  }

  const mortalClock: Clock = {
    now: () => clock.now(),
    after(delayMs: number, task: () => void): Timer {
      if (!alive) return INERT
      const timer = clock.after(delayMs, () => {
        armed.delete(timer)
        task()
      })
      armed.add(timer)
      let cancelled = false
      return {
        cancel(): void {
          cancelled = true
          armed.delete(timer)
          timer.cancel()
        },
        refresh(): void {
          if (cancelled || !alive) return
          armed.add(timer)
          timer.refresh()
        },
      }
    },
  }

  const mortalDns: Resolver = {
    resolve<T extends RecordType>(
      name: string,
      type: T,
      call: Call,
    ): Promise<DnsAnswer<RecordTypes[T]>> | DnsAnswer<RecordTypes[T]> {
      if (!alive) return never()
      const answer = dns.resolve(name, type, call)
      return answer instanceof Promise ? seen(answer) : answer
    },
  }

  const mortalNet: Network = {
    connect: (target: ConnectTarget, call: Call): Promise<Wire> =>
      alive ? seen(net.connect({ ...target, localAddress: host }, call), (wire) => wire.destroy()) : never(),
    async listen(target: ListenTarget, accept: (wire: Wire) => void): Promise<Listening> {
      if (!alive) return never()
      const listening = await net.listen(target, accept)
      listenings.add(listening)
      if (alive) return listening
      void listening.close()
      return never()
    },
    secure: (wire: Wire, tls: ClientTls, call: Call): Promise<SecureWire> => seen(net.secure(wire, tls, call)),
  }

  return {
    environment: { clock: mortalClock, dns: mortalDns, net: mortalNet, random },
    get alive(): boolean {
      return alive
    },
    get timers(): number {
      return armed.size
    },
    end(): void {
      if (!alive) return
      alive = false
      for (const timer of armed) timer.cancel()
      armed.clear()
      // The memory network forgets a listener at once; there is nothing to wait for.
      for (const listening of listenings) void listening.close()
      surroundings.cut()
    },
  }
}

/** What a dead program waits for. */
export function never<T>(): Promise<T> {
  return new Promise<T>(ignore)
}

const INERT: Timer = { cancel: ignore, refresh: ignore }

function ignore(): void {}
