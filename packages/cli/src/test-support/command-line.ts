/** The command as a user runs it: a process with arguments, output and an exit code. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

const CLI = fileURLToPath(new URL('../cli.ts', import.meta.url))

export interface Result {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Server {
  readonly child: ChildProcess
  /** What it listens on, in order: `smtp://127.0.0.1:2525`. */
  readonly urls: readonly string[]
  readonly port: number
  /** What it has said so far. */
  readonly said: () => string
  /** SIGTERM, and what came of it. */
  stop(): Promise<Result>
}

/** Runs `mailwright` with these arguments to its end. */
export function mailwright(...args: readonly string[]): Promise<Result> {
  return start(args).ended
}

/**
 * Starts a `mailwright` that serves, and waits until it listens, as often as told. It ends with the test, unless it is
 * `kept` for others.
 */
export async function server(
  args: readonly string[],
  listeners = 1,
  until: 'end of test' | 'kept' = 'end of test',
): Promise<Server> {
  const { child, ended, said } = start(args)
  if (until === 'end of test') onTestFinished(() => void child.kill('SIGKILL'))
  const urls = (): string[] => [...said().matchAll(/^mailwright: listening on (\S+)$/gm)].map((match) => match[1]!)
  await new Promise<void>((resolve, reject) => {
    child.stderr!.on('data', () => {
      if (urls().length >= listeners) resolve()
    })
    ended.then(({ code, stderr }) => reject(new Error(`mailwright ended with ${code}: ${stderr}`)), reject)
  })
  return {
    child,
    said,
    urls: urls(),
    port: Number(new URL(urls()[0]!).port),
    stop(): Promise<Result> {
      child.kill('SIGTERM')
      return ended
    },
  }
}

/** A folder that is removed with the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'mailwright-cli-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

function start(args: readonly string[]): {
  readonly child: ChildProcess
  readonly ended: Promise<Result>
  readonly said: () => string
} {
  const child = spawn(process.execPath, [CLI, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const ended = new Promise<Result>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, stdout, stderr }))
  })
  return { child, ended, said: () => stderr }
}
