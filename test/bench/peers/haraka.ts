import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Peer } from '../peer.ts'
import { freePort, greeted } from '../ports.ts'
import { processTree } from '../process-usage.ts'

const VERSION = '3.3.4'
const HOME = join(tmpdir(), `bench-haraka-${VERSION}`)

/** Haraka from npm with its own outbound queue, one process, everything else as it comes. */
export const haraka: Peer = {
  name: 'Haraka',
  available() {
    if (existsSync(join(HOME, 'node_modules/Haraka/bin/haraka'))) return undefined
    mkdirSync(HOME, { recursive: true })
    try {
      execFileSync('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--prefix', HOME, `Haraka@${VERSION}`], {
        stdio: 'pipe',
      })
      return undefined
    } catch {
      return `Haraka ${VERSION} could not be installed from npm`
    }
  },
  async start(nextHopPort) {
    const folder = mkdtempSync(join(tmpdir(), 'bench-haraka-'))
    const port = await freePort()
    const config = join(folder, 'config')
    // Its own defaults first: without them it does not even greet.
    cpSync(join(HOME, 'node_modules/Haraka/config'), config, { recursive: true })
    const files = {
      'smtp.ini': `listen=127.0.0.1:${port}\nnodes=0\n`,
      plugins: 'relay\n',
      'relay.ini': '[relay]\nacl=true\nforce_routing=true\n',
      relay_acl_allow: '127.0.0.1/8\n',
      'relay_dest_domains.ini': `[domains]\nany = { "action": "accept", "nexthop": "127.0.0.1:${nextHopPort}" }\n`,
      me: 'bench.example.org\n',
      'outbound.ini': 'enable_tls=false\n',
      host_list: '',
    }
    for (const [name, text] of Object.entries(files)) writeFileSync(join(config, name), text)
    const child: ChildProcess = spawn(process.execPath, [join(HOME, 'node_modules/Haraka/bin/haraka'), '-c', folder], {
      stdio: 'ignore',
    })
    await greeted(port)
    return {
      port,
      pids: () => processTree(child.pid!),
      async stop() {
        if (child.exitCode === null) {
          child.kill('SIGKILL')
          await once(child, 'exit')
        }
        rmSync(folder, { recursive: true, force: true })
      },
    }
  },
}
