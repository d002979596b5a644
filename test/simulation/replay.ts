/** Tells the story of a seed: `node test/simulation/replay.ts SEED`. Exits with 1 when something is wrong with it. */
import { simulate } from './simulate.ts'

const seed = Number(process.argv[2])
if (!Number.isInteger(seed) || seed < 0) {
  console.error('usage: node test/simulation/replay.ts SEED')
  process.exitCode = 2
} else {
  const { story, problems, tally } = await simulate(seed)
  for (const line of story) console.log(line)
  console.log(JSON.stringify(tally))
  for (const problem of problems) console.log(`PROBLEM ${problem}`)
  process.exitCode = problems.length === 0 ? 0 : 1
}
