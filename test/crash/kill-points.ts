/**
 * `kill -9` of a real process at each change of its LMDB store: before it is asked, while it writes, after it has
 * answered. Another process then goes on with the spool. `node test/crash/kill-points.ts` tries all of them, which takes
 * some minutes, and prints a summary.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const CHILD = fileURLToPath(new URL('./kill-points-child.ts', import.meta.url))
const SIDES = ['before', 'during', 'after'] as const
/** What must become of the recipients of each letter, by its number. */
const FATES: readonly Readonly<Record<string, 'arrived' | 'returned'>>[] = [
  { 'eve@friends.example': 'arrived' },
  { 'fay@friends.example': 'arrived', 'gil@twin.example': 'arrived' },
  { 'ghost@friends.example': 'returned', 'eve@friends.example': 'arrived' },
  { 'grey@friends.example': 'arrived' },
  { 'lea@gone.example': 'returned' },
  { 'fay@friends.example': 'arrived' },
]

export interface KillSummary {
  readonly kills: number
  /** Copies and notices beyond the first: one for each recipient at most, of what was under way. */
  readonly duplicates: number
  readonly problems: readonly string[]
}

interface End {
  readonly signal: NodeJS.Signals | null
  readonly code: number | null
  readonly said: string
}

/** Kills at every k-th change of the store, at one side of it after the other, or at all of them. */
export async function killPoints(every = 1): Promise<KillSummary> {
  const { effects, problems } = await oneDay()
  let kills = 0
  let duplicates = 0
  const found = problems.map((problem) => `without a kill: ${problem}`)
  for (let point = 1; point <= effects; point += every) {
    for (const side of every === 1 ? SIDES : [SIDES[kills % SIDES.length]!]) {
      const day = await oneDay(point, side)
      kills += 1
      duplicates += day.duplicates
      found.push(...day.problems.map((problem) => `killed ${side} change ${point}: ${problem}`))
    }
  }
  return { kills, duplicates, problems: found }
}

async function oneDay(point?: number, side?: string): Promise<KillSummary & { readonly effects: number }> {
  const folder = await mkdtemp(join(tmpdir(), 'mailwright-kill-'))
  const [spool, journal] = [join(folder, 'spool'), join(folder, 'journal')]
  try {
    const problems: string[] = []
    if (point !== undefined) {
      const { signal, code, said } = await run(spool, journal, String(point), side!)
      if (signal !== 'SIGKILL') problems.push(`it was not killed, but ended with ${code}: ${said}`)
    }
    const { code, said } = await run(spool, journal)
    if (code !== 0) problems.push(`the next process ended with ${code}: ${said}`)
    const lines = readFileSync(journal, 'utf8')
      .split('\n')
      .map((line) => line.slice(line.indexOf(' ') + 1))
    const { duplicates, wrong } = judge(lines, point === undefined ? 1 : 2)
    const bodies = join(spool, 'bodies')
    const strays = existsSync(bodies)
      ? readdirSync(bodies, { recursive: true, withFileTypes: true }).filter((file) => file.isFile())
      : []
    const effects = Number(/^effects (\d+)$/m.exec(lines.join('\n'))?.[1])
    problems.push(...wrong, ...strays.map(({ name }) => `${name} is left on the disk`))
    return { effects, duplicates, problems, kills: 1 }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function judge(
  lines: readonly string[],
  most: number,
): { readonly duplicates: number; readonly wrong: readonly string[] } {
  const times = (line: string): number => lines.filter((each) => each === line).length
  const wrong = lines.filter((line) => /^(?:damaged|failure) /.test(line))
  let duplicates = 0
  for (const [number, fates] of FATES.entries()) {
    for (const [recipient, fate] of Object.entries(fates)) {
      const count = times(`${fate} ${number} ${recipient}`)
      const other = times(`${fate === 'arrived' ? 'returned' : 'arrived'} ${number} ${recipient}`)
      if (count === 0) wrong.push(`letter ${number} to ${recipient} has not ${fate}`)
      if (count > most) wrong.push(`letter ${number} to ${recipient} has ${fate} ${count} times`)
      if (other > 0) wrong.push(`letter ${number} to ${recipient} should have ${fate}`)
      duplicates += Math.max(0, count - 1)
    }
  }
  return { duplicates, wrong }
}

async function run(...args: readonly string[]): Promise<End> {
  const child = spawn(process.execPath, [CHILD, ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  await once(child, 'close')
  return { signal: child.signalCode, code: child.exitCode, said }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { kills, duplicates, problems } = await killPoints(Number(process.argv[2] ?? 1))
  for (const problem of problems) console.log(`PROBLEM ${problem}`)
  console.log(`${kills} kills, ${problems.length} problems, ${duplicates} duplicates of what was under way`)
  process.exitCode = problems.length === 0 ? 0 : 1
}
