import type { QueueStore } from '@mailwright/core'
import { describe, expect, it } from 'vitest'
import { DISKS } from './adversary.ts'
import { crashPoints } from './crash-points.ts'
import { forgetsAtOpen, losesNotices } from './sabotage.ts'
import { scriptedDay } from './scripted-day.ts'

const EVERY = 7
const TIMEOUT_MS = 60_000

describe('a server that crashes at an effect of its own', () => {
  it(
    `has lost nothing, and explains what came twice (every ${EVERY}th effect)`,
    async () => {
      const { points, duplicates, problems } = await crashPoints(EVERY)
      console.log(`${points} crashes, ${problems.length} problems, ${duplicates} duplicates, all explained`)
      expect(problems).toEqual([])
      expect(points).toBeGreaterThan(50)
      expect(duplicates).toBeGreaterThan(0)
    },
    TIMEOUT_MS,
  )

  it('would have met no trouble otherwise, and nothing twice', async () => {
    for (const disk of DISKS) {
      const { problems, crashes, duplicates, effects } = await scriptedDay({ disk })
      expect({ disk, problems, crashes, duplicates }).toEqual({ disk, problems: [], crashes: 0, duplicates: 0 })
      expect(effects).toBeGreaterThan(100)
    }
  })

  it('lives through the same day again when it crashes at the same effect', async () => {
    const [once, again] = [
      await scriptedDay({ disk: 'torn', point: 40 }),
      await scriptedDay({ disk: 'torn', point: 40 }),
    ]
    expect(again.story).toEqual(once.story)
  })
})

/** Says that mail is stored before it is. (A mortal store is an object of functions.) */
function answersTooSoon(store: QueueStore): QueueStore {
  return {
    ...store,
    put: async (message, source, _, call) => {
      store.put(message, source, undefined, call).catch(() => undefined)
      return []
    },
  }
}

describe('trying every point notices', () => {
  it.each([
    { bug: 'a store that answers before the disk has it', sabotage: answersTooSoon, says: /acknowledged, but/ },
    { bug: 'a store that loses the notice of a failure', sabotage: losesNotices().store!, says: /never heard/ },
    { bug: 'a store that is empty after a crash', sabotage: forgetsAtOpen().store!, says: /acknowledged, but/ },
  ])(
    '$bug',
    async ({ sabotage, says }) => {
      const { problems } = await crashPoints(2 * EVERY, { sabotage })
      expect(problems.filter((problem) => says.test(problem))).not.toEqual([])
    },
    TIMEOUT_MS,
  )
})
