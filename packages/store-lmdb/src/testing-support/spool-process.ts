/** Other processes for tests: operators, and owners that are to be killed. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { QueueStore } from '@mailwright/core'
import { onTestFinished } from 'vitest'

export const CHILD: string = fileURLToPath(new URL('./spool-child.ts', import.meta.url))

export interface SpoolProcess {
  readonly process: ChildProcess
  /** Calls a method of the store in the other process. */
  call<M extends keyof QueueStore>(method: M, ...args: readonly unknown[]): Promise<unknown>
  /** Ends it at once, as a crash would. */
  kill(): Promise<void>
}

/** A process that opens the spool and does as it is told. Rejects when it cannot open it. */
export async function spoolProcess(directory: string, access: 'owner' | 'operator'): Promise<SpoolProcess> {
  const child = spawn(process.execPath, [CHILD, 'serve', directory, access], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const waiting: ((answer: Answer) => void)[] = []
  const answered = (): Promise<Answer> => new Promise((resolve) => waiting.push(resolve))
  child.on('message', (answer: Answer) => waiting.shift()?.(answer))
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL')
    await ended
  }
  onTestFinished(kill)
  unwrap(await answered())
  return {
    process: child,
    kill,
    async call(method, ...args) {
      const answer = answered()
      child.send({ method, args })
      return unwrap(await answer)
    },
  }
}

interface Answer {
  readonly value?: unknown
  readonly code?: string
}

function unwrap({ value, code }: Answer): unknown {
  if (code !== undefined) throw Object.assign(new Error(`the other process failed: ${code}`), { code })
  return value
}

/** Runs a churning owner until it has said `lines` lines, kills it, and answers what it said. */
export async function churnAndKill(directory: string, seed: number, lines: number): Promise<readonly string[]> {
  const child = spawn(process.execPath, [CHILD, 'churn', directory, String(seed)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const said: string[] = []
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  for await (const line of createInterface({ input: child.stdout! })) {
    said.push(line)
    if (said.length === lines) child.kill('SIGKILL')
  }
  await ended
  return said
}
