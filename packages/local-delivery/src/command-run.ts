/**
 * Runs one command with a message as its input, in a process group of its own, so that what it starts ends with it. It
 * may be as slow as its time allows, write as much as it likes, and need not read its input: how it ends is what counts.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import type { Call, Clock } from '@mailwright/core'
import type { CommandEnd } from './exit-status.ts'

export interface CommandRun {
  readonly program: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  /** Whom it runs as; who we are where these are not given. Only root may choose. */
  readonly uid?: number | undefined
  readonly gid?: number | undefined
  readonly input: AsyncIterable<Uint8Array>
  /** ms it may take. */
  readonly limitMs: number
}

/** How much of its output is kept. */
const OUTPUT_LIMIT = 4_096

/**
 * Rejects when it cannot be started, when its input cannot be had, and with the signal's reason on abort; the command is
 * then ended first. One that takes too long is ended, too, and has the status of a temporary failure.
 */
export async function runCommand(run: CommandRun, clock: Clock, call: Call): Promise<CommandEnd> {
  call.signal.throwIfAborted()
  const { program, args, env, cwd, uid, gid } = run
  const child = spawn(program, [...args], {
    env,
    cwd,
    detached: true,
    stdio: 'pipe',
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
  })
  const output = collectOutput(child)
  let late = false
  const timer = clock.after(run.limitMs, () => {
    late = true
    endGroup(child)
  })
  const abort = (): void => endGroup(child)
  call.signal.addEventListener('abort', abort, { once: true })
  try {
    const closed = whenClosed(child)
    const [fed, ended] = await Promise.allSettled([feed(child, run.input), closed])
    call.signal.throwIfAborted()
    if (ended.status === 'rejected') throw ended.reason
    if (late) return { status: 75, signal: null, output: `4.3.0 command ran longer than ${run.limitMs} ms` }
    if (fed.status === 'rejected') throw fed.reason
    return { ...ended.value, output: output() }
  } finally {
    timer.cancel()
    call.signal.removeEventListener('abort', abort)
  }
}

/** Its status, when it and its outputs have ended. Rejects when it could not be started. */
function whenClosed(child: ChildProcessWithoutNullStreams): Promise<Omit<CommandEnd, 'output'>> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (status, signal) => resolve({ status, signal }))
    // What it started and left behind may keep its outputs open: it has ended all the same.
    child.once('exit', () => endGroup(child))
  })
}

/** Rejects when the message cannot be read, and ends the command, which must not take half of one for the whole. */
async function feed(child: ChildProcessWithoutNullStreams, input: AsyncIterable<Uint8Array>): Promise<void> {
  const { stdin } = child
  let open = true
  const shut = (): void => {
    open = false
  }
  // A command that does not want to read more closes its input; how it ends tells what that means.
  stdin.on('error', shut)
  stdin.on('close', shut)
  try {
    for await (const chunk of input) {
      if (!open) return
      if (!stdin.write(chunk)) await taken(child)
    }
    if (open) stdin.end()
  } catch (error) {
    endGroup(child)
    throw error
  }
}

/** Until its input takes more, or never will. */
function taken({ stdin }: ChildProcessWithoutNullStreams): Promise<void> {
  if (stdin.destroyed) return Promise.resolve()
  return new Promise((resolve) => {
    const go = (): void => {
      stdin.off('drain', go)
      stdin.off('close', go)
      resolve()
    }
    stdin.on('drain', go)
    stdin.on('close', go)
  })
}

function collectOutput(child: ChildProcessWithoutNullStreams): () => string {
  let kept = Buffer.alloc(0)
  const keep = (bytes: Buffer): void => {
    if (kept.length < OUTPUT_LIMIT) kept = Buffer.concat([kept, bytes.subarray(0, OUTPUT_LIMIT - kept.length)])
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  return () => kept.toString('utf8')
}

/** The command and all it has started. */
function endGroup({ pid }: ChildProcessWithoutNullStreams): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // Gone already.
  }
}
