import { spawn } from 'node:child_process'
import { chmodSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { freePort, greeted } from '../bench/ports.ts'

export interface SmtpSink {
  readonly port: number
  /** What it has taken so far: envelope and message of each. */
  read(): readonly string[]
}

/** Postfix's test server, which writes each message into a file. It is ended with the test. */
export async function smtpSink(folder: string): Promise<SmtpSink> {
  const port = await freePort()
  const dumps = join(folder, 'dumps')
  mkdirSync(dumps)
  // It gives up root's rights, and needs a folder it may still write in.
  chmodSync(folder, 0o755)
  chmodSync(dumps, 0o777)
  const user = process.getuid?.() === 0 ? ['-u', 'nobody'] : []
  const child = spawn('smtp-sink', [...user, '-d', `${dumps}/`, `127.0.0.1:${port}`, '100'], { stdio: 'ignore' })
  onTestFinished(() => void child.kill())
  await greeted(port)
  return {
    port,
    read: () => readdirSync(dumps).map((name) => readFileSync(join(dumps, name), 'latin1')),
  }
}
