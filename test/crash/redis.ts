/**
 * Kills nodes of a shared queue, and their Redis server, as often as one likes.
 *
 *   node test/crash/redis.ts [--rounds 100] [--seed N]
 */
import { parseArgs } from 'node:util'
import { seededRandom } from '@mailwright/testing'
import { surviveKills } from './shared-queue.ts'

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '100' }, seed: { type: 'string', default: '1' } },
})
const survival = await surviveKills(seededRandom(Number(values.seed)), Number(values.rounds))
console.log(survival)
if (survival.missing.length > 0 || survival.corrupt.length > 0) process.exitCode = 1
