import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Peer } from '../peer.ts'
import { freePort, greeted } from '../ports.ts'

/** `mailwright relay` with its defaults: durable, logging at its default level. */
export const mailwright: Peer = {
  name: 'Mailwright',
  available: () => undefined,
  async start(nextHopPort) {
    const folder = mkdtempSync(join(tmpdir(), 'bench-mailwright-'))
    const port = await freePort()
    const command = join(import.meta.dirname, '../../../node_modules/.bin/mailwright')
    const args = [
      'relay',
      '--listen',
      `127.0.0.1:${port}`,
      '--next-hop',
      `127.0.0.1:${nextHopPort}`,
      '--spool',
      folder,
      '--hostname',
      'bench.example.org',
    ]
    // The log goes where a service's would: into a file, here one that is thrown away.
    const child: ChildProcess = spawn('sh', ['-c', 'exec "$@" 2>"$LOG"', 'sh', command, ...args], {
      stdio: 'ignore',
      env: { ...process.env, LOG: join(folder, 'log') },
    })
    await greeted(port)
    return {
      port,
      pids: () => [child.pid!],
      async stop() {
        if (child.exitCode === null) {
          child.kill('SIGTERM')
          await once(child, 'exit')
        }
        rmSync(folder, { recursive: true, force: true })
      },
    }
  },
}
