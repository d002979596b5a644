/**
 * A name for this process that no later process can have: its number, which the system uses again, and when it began, in
 * ticks since the machine started. Files of a put under way carry it.
 */
import { readFile } from 'node:fs/promises'

/** The mark of this process: `1234.567890`, or the number alone where the system does not tell more. */
export async function processMark(): Promise<string> {
  const started = await startOf(process.pid)
  return started === undefined ? String(process.pid) : `${process.pid}.${started}`
}

/** Whether the process of a mark runs still. Unknown marks are nobody's. */
export async function isRunning(mark: string): Promise<boolean> {
  const [pid, started] = mark.split('.')
  const number = Number(pid)
  if (!Number.isInteger(number) || number <= 0) return false
  if (started !== undefined) return (await startOf(number)) === started
  try {
    process.kill(number, 0)
    return true
  } catch {
    return false
  }
}

/** Field 22 of `/proc/<pid>/stat`; the second field is a name in parentheses and may hold anything. */
async function startOf(pid: number): Promise<string | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}
