/** Everybody else's mail exchangers: one that works, a pair, one with moods, one that sleeps, one that is gone. */
import type { Clock, Network, Random } from '@mailwright/core'
import {
  type MxAnswer,
  type MxCommand,
  type MxState,
  type ScriptedMx,
  scriptedMx,
  type Zones,
} from '@mailwright/testing'
import { chance, pick } from './dice.ts'
import type { Weather } from './weather.ts'

interface Host {
  readonly name: string
  readonly address: string
  readonly mood?: 'changing'
}

const FRIENDS: Host = { name: 'mx.friends.example', address: '198.51.100.10' }
const TWIN_ONE: Host = { name: 'mx1.twin.example', address: '198.51.100.21' }
const TWIN_TWO: Host = { name: 'mx2.twin.example', address: '198.51.100.22', mood: 'changing' }
const FLAKY: Host = { name: 'mx.flaky.example', address: '198.51.100.30', mood: 'changing' }
const DARK: Host = { name: 'mx.dark.example', address: '198.51.100.40' }
const ASLEEP: Host = { name: 'mx.asleep.example', address: '198.51.100.50' }
/** Nobody ever listens there. */
const GONE: Host = { name: 'mx.gone.example', address: '198.51.100.60' }
export const GONE_ADDRESS: string = GONE.address

export const ZONES: Zones = {
  'friends.example': { MX: [[10, FRIENDS.name]] },
  'twin.example': {
    MX: [
      [10, TWIN_ONE.name],
      [20, TWIN_TWO.name],
    ],
  },
  'flaky.example': { MX: [[10, FLAKY.name]] },
  'dark.example': { MX: [[10, DARK.name]] },
  'asleep.example': { MX: [[10, ASLEEP.name]] },
  'gone.example': { MX: [[10, GONE.name]] },
  'nullmx.example': { MX: [[0, '']] },
  'noname.example': 'no-name',
  ...Object.fromEntries(
    [FRIENDS, TWIN_ONE, TWIN_TWO, FLAKY, DARK, ASLEEP, GONE].map((host) => [host.name, { A: [host.address] }]),
  ),
}

export interface ExchangersOptions {
  readonly clock: Clock
  readonly random: Random
  readonly weather: Weather
  /** How likely a moody one misbehaves at a command, now. */
  readonly moodiness: () => number
  /** How often `grey` is put off, by each sender. */
  readonly patience: number
  readonly arrived: (mail: ExchangerMail) => void
}

export interface ExchangerMail {
  readonly host: string
  readonly sender: string
  readonly recipients: readonly string[]
  readonly bytes: Uint8Array
  /** The client's port of the connection it came by. */
  readonly port: number
}

export interface Exchangers {
  /** Tells of mail that has arrived since the last time. */
  catchUp(): void
  /** The sleeper and the first of the twins begin to listen. */
  wake(): Promise<void>
  sleep(): Promise<void>
  stop(): Promise<void>
  readonly violations: readonly string[]
}

/** Starts all exchangers but the one that is gone. */
export async function exchangers(options: ExchangersOptions): Promise<Exchangers> {
  const { clock, random, weather } = options
  const putOff = new Map<string, number>()
  const running: { readonly host: Host; readonly mx: ScriptedMx; readonly ports: number[]; told: number }[] = []

  function answer(host: Host, ports: readonly number[], command: MxCommand, state: MxState): MxAnswer | undefined {
    if (host.mood === 'changing' && chance(random, options.moodiness()) === 'yes') {
      const sulk = sulking(command, random)
      if (sulk?.record === true) weather.unanswered(ports[state.connection - 1]!)
      if (sulk !== undefined) return sulk
    }
    if (command.stage !== 'rcpt') return undefined
    if (command.address?.startsWith('ghost@')) return { reply: '550 5.1.1 no such user' }
    if (!command.address?.startsWith('grey@')) return undefined
    const pair = `${state.sender} ${command.address}`
    const times = (putOff.get(pair) ?? 0) + 1
    putOff.set(pair, times)
    return times <= options.patience ? { reply: '451 4.7.1 greylisted, come back later' } : undefined
  }

  async function start(host: Host): Promise<void> {
    const ports: number[] = []
    const network: Network = {
      ...weather.net,
      listen: (target, accept) =>
        weather.net.listen(target, (wire) => {
          ports.push(wire.remotePort!)
          accept(wire)
        }),
    }
    const mx = await scriptedMx({
      network,
      clock,
      host: host.address,
      hostname: host.name,
      script: (command, state) => answer(host, ports, command, state),
    })
    running.push({ host, mx, ports, told: 0 })
  }
  for (const host of [FRIENDS, TWIN_ONE, TWIN_TWO, FLAKY, DARK, ASLEEP]) await start(host)
  const sleepers = running.filter(({ host }) => host === ASLEEP || host === TWIN_ONE)

  return {
    catchUp(): void {
      for (const one of running) {
        while (one.told < one.mx.messages.length) {
          const mail = one.mx.messages[one.told++]!
          options.arrived({
            host: one.host.name,
            sender: mail.sender,
            recipients: mail.recipients,
            bytes: mail.data,
            port: one.ports[mail.connection - 1]!,
          })
        }
      }
    },
    async wake(): Promise<void> {
      for (const { mx } of sleepers) await mx.listen()
    },
    async sleep(): Promise<void> {
      for (const { mx } of sleepers) await mx.down()
    },
    async stop(): Promise<void> {
      for (const { mx } of running) await mx.down()
    },
    get violations(): readonly string[] {
      return running.flatMap(({ host, mx }) => mx.violations.map((text) => `${host.name}: ${text}`))
    },
  }
}

/** What a moody server does, at any stage. `record`: it has the mail, and does not say so. */
function sulking({ stage }: MxCommand, random: Random): MxAnswer | undefined {
  switch (stage) {
    case 'message':
      return pick<MxAnswer>(random, [
        { reply: '451 4.3.0 not now' },
        { reply: '421 4.3.2 going down' },
        { drop: 'before', record: false },
        { drop: 'before', record: true },
        { drop: 'reset', record: true },
        { silent: true, record: true },
        { delayMs: 90_000 },
      ])
    case 'quit':
    case 'rset':
    case 'noop':
    case 'other':
      return pick<MxAnswer>(random, [{ drop: 'before' }, { silent: true }])
    default:
      return pick<MxAnswer>(random, [
        { reply: '451 4.3.0 not now' },
        { reply: '421 4.3.2 going down' },
        { drop: 'before' },
        { drop: 'after' },
        { drop: 'reset' },
        { silent: true },
        { delayMs: 60_000 },
        { dripMs: 200 },
      ])
  }
}
