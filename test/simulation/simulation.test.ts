import { describe, expect, it } from 'vitest'
import {
  deliversTwice,
  forgetsAtOpen,
  forgetsSettlements,
  losesMail,
  losesNotices,
  type Sabotage,
  takesDeferralForDone,
} from './sabotage.ts'
import { type Report, simulate, type Tally } from './simulate.ts'

const BATCHES = 8
const SEEDS_PER_BATCH = 25
const BATCH_TIMEOUT_MS = 60_000

/** A seed's report; a simulation that breaks off is a problem of that seed like any other. */
async function reportOf(seed: number, sabotage?: Sabotage): Promise<Pick<Report, 'problems' | 'tally'>> {
  try {
    return await simulate(seed, sabotage)
  } catch (error) {
    return { problems: [`broke off: ${String(error)}`], tally: NOTHING }
  }
}

const NOTHING: Tally = {
  letters: 0,
  acknowledged: 0,
  delivered: 0,
  notices: 0,
  crashes: 0,
  restarts: 0,
  spoiltConnections: 0,
  storeFailures: 0,
  duplicates: 0,
}

function howToReplay(seed: number, problems: readonly string[]): string {
  return `seed ${seed}: ${problems.slice(0, 5).join('; ')}\n  replay it: node test/simulation/replay.ts ${seed}`
}

describe('two servers in bad weather', () => {
  const total: Record<keyof Tally, number> = { ...NOTHING }

  for (let batch = 0; batch < BATCHES; batch++) {
    const first = batch * SEEDS_PER_BATCH + 1
    const last = first + SEEDS_PER_BATCH - 1
    it(
      `deliver or return every acknowledged message, once unless a fault explains more (seeds ${first} to ${last})`,
      async () => {
        const failures: string[] = []
        for (let seed = first; seed <= last; seed++) {
          const { problems, tally } = await reportOf(seed)
          if (problems.length > 0) failures.push(howToReplay(seed, problems))
          for (const key of Object.keys(total) as (keyof Tally)[]) total[key] += tally[key]
        }
        expect(failures.join('\n')).toBe('')
      },
      BATCH_TIMEOUT_MS,
    )
  }

  it('have met every kind of fault, and plenty of each', () => {
    const seeds = BATCHES * SEEDS_PER_BATCH
    expect(total.acknowledged).toBeGreaterThan(5 * seeds)
    expect(total.delivered).toBeGreaterThan(10 * seeds)
    expect(total.notices).toBeGreaterThan(3 * seeds)
    expect(total.crashes).toBeGreaterThan(seeds)
    expect(total.restarts).toBeGreaterThan(seeds / 4)
    expect(total.spoiltConnections).toBeGreaterThan(20 * seeds)
    expect(total.storeFailures).toBeGreaterThan(5 * seeds)
    expect(total.duplicates).toBeGreaterThan(seeds)
  })

  it('live through the same story again with the same seed, to the last line', async () => {
    for (const seed of [3, 17, 160]) {
      const [once, again] = [await simulate(seed), await simulate(seed)]
      expect(again.story).toEqual(once.story)
      expect(again.tally).toEqual(once.tally)
      expect(once.story.length).toBeGreaterThan(100)
    }
  })
})

describe('the simulation notices', () => {
  const bugs: readonly {
    readonly bug: string
    readonly sabotage: () => Sabotage
    readonly says: RegExp
  }[] = [
    { bug: 'a store that loses a notice', sabotage: losesNotices, says: /acknowledged, but the sender never heard/ },
    { bug: 'a store that loses mail', sabotage: losesMail, says: /acknowledged, but lost/ },
    { bug: 'a store that forgets what was delivered', sabotage: forgetsSettlements, says: /although it was passed on/ },
    { bug: 'a store that is empty after a crash', sabotage: forgetsAtOpen, says: /acknowledged, but lost/ },
    { bug: 'a transport that delivers twice', sabotage: deliversTwice, says: /has a copy and had said so/ },
    { bug: 'a transport that takes "later" for "done"', sabotage: takesDeferralForDone, says: /nobody has a copy/ },
  ]
  for (const { bug, sabotage, says } of bugs) {
    it(
      bug,
      async () => {
        const heard: string[] = []
        for (let seed = 1; seed <= 50 && !heard.some((problem) => says.test(problem)); seed++)
          heard.push(...(await reportOf(seed, sabotage())).problems)
        expect(heard.filter((problem) => says.test(problem))).not.toEqual([])
      },
      BATCH_TIMEOUT_MS,
    )
  }
})
