import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, fstatSync, mkdtempSync, openSync, readSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { freePort, greeted } from './ports.ts'

/** Started by root, smtp-sink wants to be told whom to run as. */
const AS_USER = process.getuid?.() === 0 ? ['-u', 'nobody'] : []

/** Postfix's smtp-sink as the next hop of every peer, counting what arrives. */
export interface CountingSink {
  readonly port: number
  /** Messages that have arrived since it started. */
  count(): number
  /** Resolves when that many have arrived. Rejects when none has come for a minute. */
  reached(count: number): Promise<void>
  stop(): Promise<void>
}

export async function countingSink(): Promise<CountingSink> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-sink-'))
  const port = await freePort()
  const output = openSync(join(folder, 'counters'), 'w+')
  const child: ChildProcess = spawn('smtp-sink', [...AS_USER, '-c', `127.0.0.1:${port}`, '1000'], {
    stdio: ['ignore', output, 'ignore'],
  })
  await greeted(port)
  const tail = Buffer.alloc(200)
  function count(): number {
    // Its counters are rewritten at the end of the file: `sess=1 quit=0 mesg=17`.
    const { size } = fstatSync(output)
    const length = readSync(output, tail, 0, tail.length, Math.max(size - tail.length, 0))
    const counts = [...tail.toString('latin1', 0, length).matchAll(/mesg=(\d+)\b(?=\s)/g)]
    return Number(counts.at(-1)?.[1] ?? 0)
  }
  return {
    port,
    count,
    async reached(goal) {
      let last = count()
      let since = Date.now()
      while (last < goal) {
        await pause(5)
        const now = count()
        if (now !== last) since = Date.now()
        else if (Date.now() - since > 60_000) throw new Error(`only ${now} of ${goal} messages arrived`)
        last = now
      }
    },
    async stop() {
      child.kill('SIGKILL')
      await once(child, 'exit')
      closeSync(output)
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
