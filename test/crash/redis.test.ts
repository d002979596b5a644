/** `kill -9` of nodes that share a queue, and of their Redis server: no acknowledged message is lost, none arrives damaged. */
import { seededRandom } from '@mailwright/testing'
import { expect, test } from 'vitest'
import { WITHOUT_SERVER } from '../../packages/redis/src/testing-support/server-process.ts'
import { crashSeed } from './seed.ts'
import { surviveKills } from './shared-queue.ts'

const ROUNDS = 4

test.skipIf(WITHOUT_SERVER !== undefined)(
  `nodes that share a queue lose nothing that they acknowledged, when one of them or their server is killed${WITHOUT_SERVER === undefined ? '' : ` (${WITHOUT_SERVER})`}`,
  async () => {
    const seed = crashSeed('shared queue')
    const survival = await surviveKills(seededRandom(seed), ROUNDS)
    console.log(`crashes of the shared queue: ${JSON.stringify(survival)}`)
    expect(survival).toMatchObject({ missing: [], corrupt: [] })
    expect(survival.acknowledged).toBeGreaterThan(ROUNDS)
    expect(survival.left).toMatchObject({
      messages: 0,
      entries: 0,
      held: 0,
      deferred: 0,
      claimed: 0,
      bytes: 0,
      lanes: 0,
    })
  },
  120_000,
)
