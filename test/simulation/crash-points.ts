/**
 * Every point at which a server can crash in a day of mail, one after the other: no acknowledged letter is lost, and no
 * copy arrives without an explanation. `node test/simulation/crash-points.ts` tries all of them and prints a summary;
 * with the name of a disk and a number it tells the story of one.
 */
import { pathToFileURL } from 'node:url'
import { DISKS, type Disk } from './adversary.ts'
import { type DayOptions, scriptedDay } from './scripted-day.ts'

export interface CrashSummary {
  /** Crashes that were tried. */
  readonly points: number
  /** Copies beyond the first, each of them explained by the crash. */
  readonly duplicates: number
  /** What was lost or came twice without reason, and where. */
  readonly problems: readonly string[]
}

/** Tries every k-th point, with each disk; the first is another one for each, so that together they see more. */
export async function crashPoints(every = 1, options: Pick<DayOptions, 'sabotage'> = {}): Promise<CrashSummary> {
  const problems: string[] = []
  let points = 0
  let duplicates = 0
  for (const [number, disk] of DISKS.entries()) {
    const { effects } = await scriptedDay({ disk, ...options })
    for (let point = 1 + (number % every); point <= effects; point += every) {
      const day = await scriptedDay({ disk, point, ...options })
      points += 1
      duplicates += day.duplicates
      const found = day.crashes === 1 ? day.problems : [`crashed ${day.crashes} times`, ...day.problems]
      problems.push(...found.map((problem) => `${day.death}: ${problem}`))
    }
  }
  return { points, duplicates, problems }
}

async function main([disk, point]: readonly string[]): Promise<void> {
  if (disk === undefined) {
    const { points, duplicates, problems } = await crashPoints()
    for (const problem of problems) console.log(`PROBLEM ${problem}`)
    console.log(`${points} crashes, ${problems.length} problems, ${duplicates} duplicates, all explained`)
    process.exitCode = problems.length === 0 ? 0 : 1
    return
  }
  const chosen = DISKS.find((each): each is Disk => each === disk)
  if (chosen === undefined) {
    console.error(`usage: node test/simulation/crash-points.ts [${DISKS.join('|')} POINT]`)
    process.exitCode = 2
    return
  }
  const day = await scriptedDay({ disk: chosen, ...(point === undefined ? {} : { point: Number(point) }) })
  for (const line of day.story) console.log(line)
  for (const problem of day.problems) console.log(`PROBLEM ${problem}`)
  process.exitCode = day.problems.length === 0 ? 0 : 1
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main(process.argv.slice(2))
