/** Opening a queue on a server, and everything that works on it, put together. */
import { type Arrival, type Events, MailwrightError } from '@mailwright/core'
import { Cluster } from 'ioredis'
import type { BodyStore } from './body-store.ts'
import { Claiming } from './claiming.ts'
import { makeClient, makeSubscriber, type RedisClient } from './connection.ts'
import { isStorageFull, storeFailure } from './failure.ts'
import { LIFE, Link } from './link.ts'
import { CLAIM, LANES, NEXT_DUE, PUT, RENEW, SETTLE } from './mail-scripts.ts'
import { MessageBodies } from './message-bodies.ts'
import { Operating } from './operating.ts'
import { type RedisStoreOptions, settingsOf } from './options.ts'
import { Putting } from './putting.ts'
import { Quarantine } from './quarantine.ts'
import { RedisBodies } from './redis-bodies.ts'
import { ServerClock } from './server-clock.ts'
import { ServerRoom } from './server-room.ts'
import { Settling } from './settling.ts'
import { SafetyWatch } from './start-checks.ts'
import type { StoreParts } from './store-parts.ts'
import { END_LIVES, OPEN, STRAYS } from './upkeep-scripts.ts'
import { WakeChannel } from './wake-channel.ts'

/** How things are written. A queue written otherwise is left alone. */
const FORMAT = '1'
/** What every message needs. The others are sent in full when they are first needed. */
const SCRIPTS = [PUT, SETTLE, CLAIM, LANES, NEXT_DUE, RENEW]

export interface OpenQueue {
  readonly link: Link
  readonly room: ServerRoom
  readonly bodies: MessageBodies
  readonly putting: Putting
  readonly claiming: Claiming
  readonly settling: Settling
  readonly operating: Operating
  close(): Promise<void>
}

/**
 * @throws MailwrightError `ERR_MAILWRIGHT_STORE` when the server does not answer, or the queue was written otherwise;
 * `ERR_MAILWRIGHT_CONFIG` when the server is too old.
 */
export async function openQueue(
  options: RedisStoreOptions,
  events: Events,
  announce: (by: Arrival) => void,
): Promise<OpenQueue> {
  const settings = settingsOf(options)
  const store = settings.prefix
  const client = makeClient(options)
  let isOpen = false
  const report = (error: unknown): void => events.emit({ type: 'failure', where: `the queue ${store}`, error })
  const link = new Link(
    client,
    store,
    {
      up: () => {
        if (isOpen) void returned().catch(report)
      },
      down: (error) => {
        if (!isOpen) return
        report(storeFailure(error))
        room.tell()
      },
    },
    settings.node,
  )
  const room = new ServerRoom(link, (reply) => events.emit({ type: 'store.refusing', reply }))
  const bodyStore = options.bodies ?? new RedisBodies(link, settings.largestBody)
  const bodies = new MessageBodies(bodyStore, link, settings.inlineLimit)
  const parts: StoreParts = {
    settings,
    link,
    bodies,
    clock: new ServerClock(settings.clock),
    quarantine: new Quarantine(link, (event) => events.emit(event)),
    claims: new Map(),
    failed: (error) => {
      const failure = storeFailure(error)
      if (isStorageFull(failure)) room.full()
      return failure
    },
    succeeded: () => room.succeeded(),
  }
  const putting = new Putting(parts)
  const claiming = new Claiming(parts)
  const safety = new SafetyWatch(client, settings.durability, (problem) =>
    events.emit({ type: 'store.unsafe', store, problem }),
  )
  /** The server is back: perhaps another one, and perhaps with mail that others put meanwhile. */
  const returned = async (): Promise<void> => {
    // Before anybody can claim it.
    await putting.withdraw().catch(report)
    room.tell()
    await link.load(SCRIPTS)
    announce('mail')
    await safety.look()
  }
  const life = settings.node === undefined ? [] : [`${store}:node:${settings.node}`]
  const wake = new WakeChannel(makeSubscriber(options), [`${store}:wake`, ...life], link.node, announce, report)
  await link.open()
  try {
    await safety.look()
    await link.load(SCRIPTS)
    const recovered = await recover(link, bodyStore)
    if (settings.node !== undefined && (await isAlone(client, life[0]!)))
      await link.run(END_LIVES, [`${settings.node}${LIFE}`])
    await wake.open()
    isOpen = true
    events.emit({ type: 'store.recovered', ...recovered })
  } catch (error) {
    wake.close()
    link.close()
    throw storeFailure(error)
  }
  return {
    link,
    room,
    bodies,
    putting,
    claiming,
    settling: new Settling(parts),
    operating: new Operating(parts),
    async close() {
      isOpen = false
      wake.close()
      await link.rest()
      // Where the server is away, the leases end by themselves.
      if (link.isUp) await claiming.leave().catch(report)
      link.close()
    },
  }
}

interface Recovered {
  readonly messages: number
  readonly strays: number
  readonly corrupt: number
}

/** Removes bodies that belong to no message, and says what there is. */
async function recover(link: Link, bodies: BodyStore): Promise<Recovered> {
  const [format, messages, corrupt] = (await link.run(OPEN, [FORMAT])) as readonly [string, number, string | null]
  if (format !== FORMAT) throw new MailwrightError('ERR_MAILWRIGHT_STORE', `the queue has format ${format}`)
  await bodies.prepare()
  const strays = await bodies.sweep(async (stored) => {
    const pairs = stored.flatMap(({ message, name }) => [message, name])
    return (await link.run(STRAYS, pairs)) as readonly string[]
  })
  return { messages, strays, corrupt: Number(corrupt) }
}

/**
 * Whether nobody else lives under the name of this node: every life listens on a channel of its own. A machine that died may
 * seem to listen for a while; its leases end by themselves then. In a cluster nobody can tell.
 */
async function isAlone(client: RedisClient, channel: string): Promise<boolean> {
  if (client instanceof Cluster) return false
  const answer: unknown = await client.call('PUBSUB', 'NUMSUB', channel)
  return Array.isArray(answer) && Number(answer[1]) === 0
}
