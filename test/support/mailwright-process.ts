/**
 * A `mailwright` command as a process of its own, as an operator would run it. The process listens on port 0 and says on
 * stderr where; nothing here guesses a port.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const CLI = fileURLToPath(new URL('../../packages/cli/src/cli.ts', import.meta.url))

export interface MailwrightProcess {
  readonly child: ChildProcess
  readonly pid: number
  /** Where it listens, in the order it said so: `smtp://127.0.0.1:2525`. */
  readonly urls: readonly string[]
  /** The port of the first listener. */
  readonly port: number
  /** Everything it has written to stderr so far. */
  stderr(): string
  /** Ends it, with SIGTERM unless told otherwise. Resolves with its exit code, or null when a signal ended it. */
  stop(signal?: NodeJS.Signals): Promise<number | null>
  /** Resolves with the exit code when it has ended by itself. */
  readonly ended: Promise<number | null>
}

export interface MailwrightProcessOptions {
  /** How many listeners to wait for. Default 1. */
  readonly listeners?: number
  /** How long to wait for them, in ms. Default 30 s. */
  readonly patienceMs?: number
  /** A program and its arguments to run the command under: strace. */
  readonly under?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

/**
 * Starts `mailwright` and waits until it listens. Rejects with what it wrote when it ends before.
 *
 * @example
 * const relay = await mailwrightProcess(['relay', '--listen', '127.0.0.1:0', '--next-hop', `127.0.0.1:${port}`, '--spool', dir])
 */
export async function mailwrightProcess(
  args: readonly string[],
  options: MailwrightProcessOptions = {},
): Promise<MailwrightProcess> {
  const [program, ...rest] = [...(options.under ?? []), process.execPath, CLI, ...args] as [string, ...string[]]
  const child = spawn(program, rest, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...options.env },
  })
  const wanted = options.listeners ?? 1
  const urls: string[] = []
  let said = ''
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  // Whoever waits for it hears of a failure; nobody has to.
  ended.catch(() => undefined)
  const ready = new Promise<void>((resolve) => {
    let partial = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text
      const lines = (partial + text).split('\n')
      partial = lines.pop()!
      for (const line of lines) {
        const url = /^mailwright: listening on (\S+)$/.exec(line)?.[1]
        if (url !== undefined) urls.push(url)
      }
      if (urls.length >= wanted) resolve()
    })
  })
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    const patienceMs = options.patienceMs ?? 30_000
    timer = setTimeout(() => reject(new Error(`no listener after ${patienceMs} ms:\n${said}`)), patienceMs)
  })
  try {
    await Promise.race([
      ready,
      late,
      ended.then((code) => Promise.reject(new Error(`mailwright ended with ${code}:\n${said}`))),
    ])
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  } finally {
    clearTimeout(timer)
  }
  return {
    child,
    pid: child.pid!,
    urls,
    port: Number(new URL(urls[0]!).port),
    stderr: () => said,
    ended,
    stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
      child.kill(signal)
      return ended
    },
  }
}
