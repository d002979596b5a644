/**
 * Random clients for as long as it takes: `node test/conformance/fuzz.ts 100000 [seed]` lets so many of them meet each
 * server. Prints the seed; on a failure the smallest client that shows it, and exits with 1.
 */
import fc from 'fast-check'
import { installGuards } from '../abuse/guards.ts'
import { meet, randomClient, stillServes, TARGETS } from './fuzzing.ts'
import { startServer } from './servers.ts'

const runs = Number(process.argv[2] ?? 10_000)
const seed = Number(process.argv[3] ?? Date.now() % 2 ** 31)
const guards = installGuards()
console.log(`${runs} clients for each of ${TARGETS.length} servers, seed ${seed}`)
for (const target of TARGETS) {
  const server = await startServer(target, 'memory')
  const outcome = await fc.check(
    fc.asyncProperty(randomClient, (client) => meet(client, server)),
    { numRuns: runs, seed },
  )
  if (outcome.failed) {
    console.error(`${target}: ${fc.defaultReportMessage(outcome)}`)
    console.error(JSON.stringify(outcome.counterexample?.[0].bytes.toString('latin1')))
    process.exitCode = 1
  } else console.log(`${target}: ok`)
  await stillServes(server)
  await server.stop()
}
guards.remove()
if (guards.caught.length > 0) {
  console.error('nobody handled:', guards.caught)
  process.exitCode = 1
}
