/** A server that is going to be killed: while it starts or while it serves, by SIGKILL, at a moment nobody chose. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const CLI = fileURLToPath(new URL('../../packages/cli/src/cli.ts', import.meta.url))

export interface Victim {
  readonly pid: number
  /** Where it listens; undefined when it ended before it did. */
  readonly listening: Promise<number | undefined>
  /** What it has written, but for where it listens. */
  complaints(): string
  /** Resolves when nothing of it is left. */
  kill(): Promise<void>
  /** Asks it to stop. Resolves with its exit code. */
  stop(): Promise<number | null>
}

/** Runs a `mailwright` command. It need not get as far as listening: it may be killed before. */
export function startVictim(args: readonly string[], env: Readonly<Record<string, string>> = {}): Victim {
  const child: ChildProcess = spawn(process.execPath, [CLI, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...env },
  })
  const closed = once(child, 'close')
  // Nobody outlives a test that was given up.
  const last = (): void => void child.kill('SIGKILL')
  process.once('exit', last)
  let said = ''
  const listening = Promise.withResolvers<number | undefined>()
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    said += text
    const port = /^mailwright: listening on smtp:\/\/127\.0\.0\.1:(\d+)$/m.exec(said)?.[1]
    if (port !== undefined) listening.resolve(Number(port))
  })
  child.once('close', () => {
    process.off('exit', last)
    listening.resolve(undefined)
  })
  return {
    pid: child.pid!,
    listening: listening.promise,
    complaints: () => said.replace(/^mailwright: listening on .*\n/gm, ''),
    async kill(): Promise<void> {
      child.kill('SIGKILL')
      await closed
    },
    async stop(): Promise<number | null> {
      child.kill('SIGTERM')
      await closed
      return child.exitCode
    },
  }
}
