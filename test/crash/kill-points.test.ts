import { expect, it } from 'vitest'
import { killPoints } from './kill-points.ts'

const EVERY = 5

it('a process that is killed at a change of its LMDB store loses nothing, and the next one goes on', async () => {
  const { kills, duplicates, problems } = await killPoints(EVERY)
  console.log(`${kills} kills, ${problems.length} problems, ${duplicates} duplicates of what was under way`)
  expect(problems).toEqual([])
  expect(kills).toBeGreaterThan(5)
}, 120_000)
