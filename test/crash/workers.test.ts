/** `kill -9` of one worker of several under load: the others go on, it comes back, and nothing acknowledged is lost. */
import { readFileSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { randomInt } from '@mailwright/core'
import { seededRandom } from '@mailwright/testing'
import { expect, test, vi } from 'vitest'
import { emptyQueue } from './operator.ts'
import { crashSeed } from './seed.ts'
import { senders } from './senders.ts'
import { startSink } from './sink.ts'
import { startVictim, type Victim } from './victim.ts'

const WORKERS = 3
const ROUNDS = 6
const CLIENTS = 6
/** How long all workers live at most together, in ms. */
const PEACE_MS = 500
const LINUX = process.platform === 'linux'

/** The processes that a process has started (Linux). */
function workersOf(pid: number): readonly number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)
}

/** Whether somebody owns every shard, and so is about to serve. */
async function areAllServed(spool: string): Promise<boolean> {
  const owned = (index: number): Promise<boolean> =>
    new Promise((resolve) => {
      const visitor = connect(join(spool, `worker-${index}`, 'owner.sock'))
      visitor.once('connect', () => visitor.destroy())
      visitor.once('error', () => resolve(false))
      visitor.once('close', () => resolve(true))
    })
  return (await Promise.all(Array.from({ length: WORKERS }, (_, index) => owned(index)))).every(Boolean)
}

test.skipIf(!LINUX)(
  `a relay of ${WORKERS} workers loses nothing when one is killed, ${ROUNDS} times`,
  async () => {
    const seed = crashSeed('workers')
    const random = seededRandom(seed)
    const directory = await mkdtemp(join(tmpdir(), 'mailwright-crash-'))
    const spool = join(directory, 'spool')
    const sink = await startSink(random.fork('sink'))
    const sending = senders(random.fork('senders'), ['bob@elsewhere.example'])
    const start = (...more: readonly string[]): Victim =>
      startVictim([
        ...['relay', '--listen', '127.0.0.1:0', '--next-hop', `127.0.0.1:${sink.port}`],
        ...['--spool', spool, '--hostname', 'relay.example', '--log-level', 'error', ...more],
      ])
    let load: 'on' | 'off' = 'on'
    const client = async (port: number): Promise<void> => {
      while (load === 'on') await sending.send(port, 20).catch(() => undefined)
    }
    let relay: Victim | undefined
    try {
      sink.mood = 'slow'
      relay = start('--workers', String(WORKERS))
      const port = (await relay.listening)!
      const pid = relay.pid
      const clients = Array.from({ length: CLIENTS }, () => client(port))
      for (let round = 0; round < ROUNDS; round++) {
        await new Promise((resolve) => setTimeout(resolve, randomInt(random, PEACE_MS)))
        const workers = workersOf(pid)
        const before = sending.acknowledged.size
        process.kill(workers[randomInt(random, workers.length)]!, 'SIGKILL')
        await vi.waitUntil(() => sending.acknowledged.size > before + CLIENTS, { timeout: 20_000 })
        await vi.waitUntil(() => areAllServed(spool), { timeout: 20_000 })
      }
      // What waits now waits in the shards of three.
      sink.mood = 'shut'
      load = 'off'
      await Promise.all(clients)
      for (let one = 0; one < 2 * WORKERS; one++) await sending.send(port, 1).catch(() => undefined)
      expect(await relay.stop()).toBe(0)
      const deaths = relay.complaints().split('\n').filter(Boolean)
      expect(deaths).toHaveLength(ROUNDS)
      for (const line of deaths) expect(line).toMatch(/^mailwright: worker \d ended by signal SIGKILL; it starts again/)
      expect((await readdir(spool)).sort()).toEqual(['worker-0', 'worker-1', 'worker-2'])

      sink.mood = 'healthy'
      relay = start()
      await relay.listening
      await emptyQueue(spool)
      expect(await relay.stop()).toBe(0)
      const missing = [...sending.acknowledged].filter((id) => !sink.received.has(id))
      const receptions = [...sink.received.values()].reduce((sum, count) => sum + count, 0)
      console.log(
        `crashes of workers: seed ${seed}, ${sending.sent} sent, ${sending.acknowledged.size} acknowledged, ` +
          `${sink.received.size} received, ${receptions - sink.received.size} duplicates, ${missing.length} missing`,
      )
      expect({ seed, missing, corrupt: sink.corrupt }).toEqual({ seed, missing: [], corrupt: [] })
    } finally {
      load = 'off'
      await relay?.kill()
      await sink.close()
      await rm(directory, { recursive: true, force: true })
    }
  },
  120_000,
)
