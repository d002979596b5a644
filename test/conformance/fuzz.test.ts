/** Random clients, for a few seconds; `node test/conformance/fuzz.ts 100000` goes on for longer. */
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { installGuards } from '../abuse/guards.ts'
import { meet, randomClient, stillServes, TARGETS } from './fuzzing.ts'
import { startServer } from './servers.ts'

const guards = installGuards()

afterAll(() => {
  guards.remove()
  expect(guards.caught).toEqual([])
})

test.each(TARGETS)(
  'whatever a client says, each command gets one answer, in order, however it is cut: %s',
  async (target) => {
    const server = await startServer(target, 'memory')
    await fc.assert(
      fc.asyncProperty(randomClient, (client) => meet(client, server)),
      { numRuns: 150, seed: 5321 },
    )
    await stillServes(server)
    await server.stop()
  },
)
