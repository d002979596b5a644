/** `kill -9` of a relay under load, again and again: no acknowledged message is lost and none arrives damaged. */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { randomInt } from '@mailwright/core'
import { seededRandom } from '@mailwright/testing'
import { expect, test } from 'vitest'
import { emptyQueue } from './operator.ts'
import { crashSeed } from './seed.ts'
import { senders } from './senders.ts'
import { type Mood, startSink } from './sink.ts'
import { startVictim, type Victim } from './victim.ts'

const ROUNDS = 20
const CLIENTS = 4
/** How long a relay lives at most once it listens, in ms. */
const LIFE_MS = 600
/** One of so many is killed while it starts. */
const STILLBORN = 5
const MOODS: readonly Mood[] = ['healthy', 'slow', 'refusing', 'shut']

test(`a relay that is killed ${ROUNDS} times under load loses nothing that it acknowledged`, async () => {
  const seed = crashSeed('relay')
  const random = seededRandom(seed)
  const directory = await mkdtemp(join(tmpdir(), 'mailwright-crash-'))
  const spool = join(directory, 'spool')
  const sink = await startSink(random.fork('sink'))
  const sending = senders(random.fork('senders'), ['bob@elsewhere.example'])
  const start = (): Victim =>
    startVictim([
      ...['relay', '--listen', '127.0.0.1:0', '--next-hop', `127.0.0.1:${sink.port}`],
      ...['--spool', spool, '--hostname', 'relay.example', '--log-level', 'error'],
    ])
  let relay: Victim | undefined
  try {
    for (let round = 0; round < ROUNDS; round++) {
      sink.mood = MOODS[randomInt(random, MOODS.length)]!
      relay = start()
      const birth = randomInt(random, STILLBORN) === 0 ? 'killed' : 'served'
      if (birth === 'killed') await sleep(randomInt(random, LIFE_MS))
      else {
        const port = await relay.listening
        if (port === undefined) throw new Error(`round ${round}: the relay did not start:\n${relay.complaints()}`)
        const load = sending.until(port, CLIENTS)
        await sleep(randomInt(random, LIFE_MS))
        await relay.kill()
        await load
      }
      await relay.kill()
      expect(relay.complaints()).toBe('')
    }
    sink.mood = 'healthy'
    relay = start()
    const port = await relay.listening
    await sending.send(port!, 10)
    await emptyQueue(spool)
    expect(await relay.stop()).toBe(0)

    const missing = [...sending.acknowledged].filter((id) => !sink.received.has(id))
    const receptions = [...sink.received.values()].reduce((sum, count) => sum + count, 0)
    console.log(
      `crash of the relay: seed ${seed}, ${sending.sent} sent, ${sending.acknowledged.size} acknowledged, ` +
        `${sink.received.size} received, ${receptions - sink.received.size} duplicates, ${missing.length} missing`,
    )
    expect({ seed, missing, corrupt: sink.corrupt }).toEqual({ seed, missing: [], corrupt: [] })
    expect(sending.acknowledged.size).toBeGreaterThan(ROUNDS)
    // Nothing is left of bodies that were under way when their server died.
    const strays = (await readdir(join(spool, 'bodies'), { recursive: true })).filter((name) => /~|tmp-/.test(name))
    expect(strays).toEqual([])
  } finally {
    await relay?.kill()
    await sink.close()
    await rm(directory, { recursive: true, force: true })
  }
}, 120_000)

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
