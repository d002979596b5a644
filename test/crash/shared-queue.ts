/**
 * Two nodes on one queue under load, one of which is killed again and again, or their Redis server is: it syncs before
 * every answer, so that what was acknowledged is still there. Ends when the queue is empty, and says what became of the mail.
 */

import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { randomInt } from '@mailwright/core'
import { EventHub, systemClock } from '@mailwright/kernel'
import { redisStore } from '@mailwright/redis'
import type { SeededRandom } from '@mailwright/testing'
import { launch } from '../../packages/redis/src/testing-support/server-process.ts'
import { type Senders, senders } from './senders.ts'
import { type Mood, startSink } from './sink.ts'
import { startVictim, type Victim } from './victim.ts'

const ASSEMBLY = fileURLToPath(new URL('./redis-node.ts', import.meta.url))
const NODES = 2
const CLIENTS = 3
/** Messages each client sends at most before it leaves. */
const MOST_SENT = 30
/** How long everybody lives at most before somebody is killed, in ms. */
const LIFE_MS = 800
/** One kill of so many is the server's. */
const SERVER_DIES = 3
const MOODS: readonly Mood[] = ['healthy', 'slow', 'refusing', 'shut']
/** How often, every 50 ms, the queue is looked at before it is given up. */
const MOST_LOOKS = 600

export interface Survival {
  readonly sent: number
  readonly acknowledged: number
  readonly received: number
  readonly duplicates: number
  readonly serverKills: number
  /** Acknowledged and never received. */
  readonly missing: readonly string[]
  readonly corrupt: readonly string[]
  /** What the counters of the empty queue say. */
  readonly left: unknown
}

/** Kills somebody in each of so many rounds. */
export async function surviveKills(random: SeededRandom, rounds: number): Promise<Survival> {
  const server = await launch({ settings: { appendonly: 'yes', appendfsync: 'always' } })
  const sink = await startSink(random.fork('sink'))
  const sending = senders(random.fork('senders'), ['bob@elsewhere.example'])
  const env = { CRASH_NEXT_HOP: String(sink.port), CRASH_REDIS: server.path }
  const start = (number: number): Victim =>
    startVictim(['run', ASSEMBLY, '--log-level', 'error'], { ...env, CRASH_NODE: `mx${number}` })
  const nodes = Array.from({ length: NODES }, (_, number) => start(number))
  /** What clients send until they are done, or refused, or their node dies. */
  const load = async (node: Victim): Promise<void> => {
    const port = await portOf(node)
    const clients = Array.from({ length: CLIENTS }, () => sending.send(port, 1 + randomInt(random, MOST_SENT)))
    await Promise.allSettled(clients)
  }
  let serverKills = 0
  try {
    for (let round = 0; round < rounds; round++) {
      sink.mood = MOODS[randomInt(random, MOODS.length)]!
      await Promise.all(nodes.map(portOf))
      const loads = nodes.map(load)
      await pause(randomInt(random, LIFE_MS))
      if (randomInt(random, SERVER_DIES) === 0) {
        serverKills += 1
        await server.kill()
        await Promise.all(loads)
        await server.start()
      } else {
        const dying = randomInt(random, NODES)
        await nodes[dying]!.kill()
        nodes[dying] = start(dying)
        await Promise.all(loads)
      }
    }
    sink.mood = 'healthy'
    for (const node of nodes) await served(sending, await portOf(node))
    const left = await emptied(server.path)
    const { acknowledged, sent } = sending
    const receptions = [...sink.received.values()].reduce((sum, count) => sum + count, 0)
    return {
      sent,
      acknowledged: acknowledged.size,
      received: sink.received.size,
      duplicates: receptions - sink.received.size,
      serverKills,
      missing: [...acknowledged].filter((id) => !sink.received.has(id)),
      corrupt: sink.corrupt,
      left,
    }
  } finally {
    await Promise.all(nodes.map((node) => node.kill()))
    await sink.close()
    await server.dispose()
  }
}

async function portOf(node: Victim): Promise<number> {
  const port = await node.listening
  if (port === undefined) throw new Error(`a node did not start:\n${node.complaints()}`)
  return port
}

/** Resolves when the node has taken a message again. */
async function served(sending: Senders, port: number): Promise<void> {
  for (let look = 0; ; look++) {
    try {
      await sending.send(port, 1)
      return
    } catch (error) {
      if (look === MOST_LOOKS) throw error
      await pause(50)
    }
  }
}

/** Resolves with what the counters of the empty queue say. */
async function emptied(path: string): Promise<unknown> {
  const store = redisStore({ connection: { path }, name: 'crash' })
  await store.open(new EventHub(systemClock()))
  try {
    for (let look = 0; ; look++) {
      const stats = await store.stats()
      if (stats.messages === 0) return stats
      if (look === MOST_LOOKS) throw new Error(`still queued: ${JSON.stringify(await store.entries({ limit: 3 }))}`)
      await pause(50)
    }
  } finally {
    await store.close()
  }
}
