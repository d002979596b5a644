import { type ManualClock, manualClock } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { Crew, type WorkerFate } from './crew.ts'

const URL = 'smtp://127.0.0.1:25'

/** A process that does what the test says. */
interface Puppet {
  readonly index: number
  readonly fate: WorkerFate
  readonly orders: string[]
}

interface Stage {
  readonly clock: ManualClock
  /** Every process ever started, in order. */
  readonly puppets: readonly Puppet[]
  readonly announced: readonly string[]
  readonly remarks: readonly string[]
  readonly shutdown: AbortController
  /** How it ended, once it has. */
  readonly outcome: () => string
}

function crewOf(count: number): Stage {
  const clock = manualClock()
  const puppets: Puppet[] = []
  const announced: string[] = []
  const remarks: string[] = []
  const shutdown = new AbortController()
  let outcome = 'serving'
  const crew = new Crew({
    count,
    clock,
    announce: (url) => void announced.push(url),
    remark: (line) => void remarks.push(line),
    start: ({ index }, fate) => {
      const orders: string[] = []
      puppets.push({ index, fate, orders })
      return { stop: () => void orders.push('stop'), kill: () => void orders.push('kill') }
    },
  })
  crew.run(shutdown.signal).then(
    () => {
      outcome = 'ended'
    },
    (error: unknown) => {
      outcome = `failed: ${(error as Error).message}`
    },
  )
  return { clock, puppets, announced, remarks, shutdown, outcome: () => outcome }
}

function serve({ fate }: Puppet): void {
  fate.heard({ kind: 'listening', url: URL })
  fate.heard({ kind: 'ready' })
}

describe('the workers of a server', () => {
  it('say once where they listen, when the last of them does', () => {
    const { puppets, announced } = crewOf(3)
    serve(puppets[0]!)
    serve(puppets[1]!)
    expect(announced).toEqual([])
    serve(puppets[2]!)
    expect(announced).toEqual([URL])
  })

  it('go on without one that was killed, which is started again in its seat', async () => {
    const { clock, puppets, announced, remarks } = crewOf(2)
    for (const puppet of puppets) serve(puppet)
    puppets[1]!.fate.ended('signal SIGKILL')
    expect(remarks).toEqual(['worker 1 ended by signal SIGKILL; it starts again in 100 ms'])
    await clock.advance(99)
    expect(puppets.length).toBe(2)
    await clock.advance(1)
    expect(puppets.map(({ index }) => index)).toEqual([0, 1, 1])
    serve(puppets[2]!)
    expect(announced).toEqual([URL])
  })

  it('do not wait with their announcement for one that dies while it starts', () => {
    const { puppets, announced } = crewOf(2)
    serve(puppets[0]!)
    puppets[1]!.fate.ended('signal SIGKILL')
    expect(announced).toEqual([URL])
  })

  it('start again more slowly each time, up to 30 s, and anew after a minute of service', async () => {
    const { clock, puppets, remarks } = crewOf(1)
    const pauses = (): string[] => remarks.map((line) => /in (\d+) ms$/.exec(line)![1]!)
    for (let death = 0; death < 11; death++) {
      serve(puppets.at(-1)!)
      puppets.at(-1)!.fate.ended('signal SIGSEGV')
      await clock.advance('30s')
    }
    expect(pauses().slice(0, 4)).toEqual(['100', '200', '400', '800'])
    expect(pauses().at(-1)).toBe('30000')
    serve(puppets.at(-1)!)
    await clock.advance('1m')
    puppets.at(-1)!.fate.ended('signal SIGSEGV')
    expect(pauses().at(-1)).toBe('100')
  })

  it('end together when one cannot start at all, with what it said', async () => {
    const { clock, puppets, outcome, announced } = crewOf(2)
    puppets[0]!.fate.heard({ kind: 'failed', problem: 'the port is taken' })
    puppets[0]!.fate.ended('exit code 1')
    expect(puppets[1]!.orders).toEqual(['stop'])
    expect(outcome()).toBe('serving')
    puppets[1]!.fate.ended('exit code 0')
    await clock.settle()
    expect(outcome()).toBe('failed: the port is taken')
    expect(announced).toEqual([])
  })

  it('go on when one that has served cannot start again, and say why', async () => {
    const { clock, puppets, outcome, remarks } = crewOf(2)
    for (const puppet of puppets) serve(puppet)
    puppets[0]!.fate.ended('signal SIGKILL')
    await clock.advance(100)
    puppets[2]!.fate.heard({ kind: 'failed', problem: 'the disk is gone' })
    puppets[2]!.fate.ended('exit code 1')
    expect(remarks.at(-1)).toBe('worker 0 ended by exit code 1: the disk is gone; it starts again in 200 ms')
    await clock.settle()
    expect(outcome()).toBe('serving')
  })

  it('are all asked to stop, and waited for', async () => {
    const { clock, puppets, shutdown, outcome } = crewOf(2)
    for (const puppet of puppets) serve(puppet)
    shutdown.abort()
    expect(puppets.map(({ orders }) => orders)).toEqual([['stop'], ['stop']])
    puppets[0]!.fate.ended('exit code 0')
    await clock.settle()
    expect(outcome()).toBe('serving')
    puppets[1]!.fate.ended('exit code 0')
    await clock.settle()
    expect(outcome()).toBe('ended')
    expect({ timers: clock.pending, started: puppets.length }).toEqual({ timers: 0, started: 2 })
  })

  it('are killed when they do not stop in time', async () => {
    const { clock, puppets, shutdown, outcome } = crewOf(1)
    serve(puppets[0]!)
    shutdown.abort()
    await clock.advance('15s')
    expect(puppets[0]!.orders).toEqual(['stop', 'kill'])
    puppets[0]!.fate.ended('signal SIGKILL')
    await clock.settle()
    expect(outcome()).toBe('ended')
  })

  it('stop at once while all of them wait to be started again', async () => {
    const { clock, puppets, shutdown, outcome } = crewOf(1)
    serve(puppets[0]!)
    puppets[0]!.fate.ended('signal SIGKILL')
    shutdown.abort()
    await clock.settle()
    expect({ outcome: outcome(), timers: clock.pending, started: puppets.length }).toEqual({
      outcome: 'ended',
      timers: 0,
      started: 1,
    })
  })

  it('are one at least', () => {
    for (const count of [0, -1, 1.5, Number.NaN]) {
      const make = (): Crew =>
        new Crew({
          count,
          clock: manualClock(),
          announce: () => {},
          remark: () => {},
          start: () => expect.unreachable(),
        })
      expect(make).toThrow(/not a number of workers/)
    }
  })
})
