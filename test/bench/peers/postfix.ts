import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Peer } from '../peer.ts'
import { freePort, greeted } from '../ports.ts'
import { processTree } from '../process-usage.ts'

/** Debian's Postfix in its default tuning, with a configuration folder and a queue of its own. */
export const postfix: Peer = {
  name: 'Postfix',
  available() {
    if (!existsSync('/usr/sbin/postfix')) return 'postfix is not installed'
    return process.getuid?.() === 0 ? undefined : 'postfix can be started only by root'
  },
  async start(nextHopPort) {
    const folder = mkdtempSync(join(tmpdir(), 'bench-postfix-'))
    const port = await freePort()
    const [config, queue, data] = ['config', 'queue', 'data'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ]
    for (const path of [config, queue, data]) mkdirSync(path)
    chmodSync(folder, 0o755)
    execFileSync('chown', ['postfix', data])
    writeFileSync(join(config, 'main.cf'), mainCf(queue, data, nextHopPort))
    writeFileSync(join(config, 'master.cf'), masterCf(port))
    execFileSync('postfix', ['-c', config, 'start'], { stdio: 'pipe' })
    await greeted(port)
    const master = Number(readFileSync(join(queue, 'pid/master.pid'), 'utf8').trim())
    return {
      port,
      pids: () => processTree(master),
      async stop() {
        execFileSync('postfix', ['-c', config, 'abort'], { stdio: 'pipe' })
        rmSync(folder, { recursive: true, force: true })
      },
    }
  },
}

function mainCf(queue: string, data: string, nextHopPort: number): string {
  return `compatibility_level = 3.6
queue_directory = ${queue}
data_directory = ${data}
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = bench.example.org
mydestination =
alias_maps =
inet_interfaces = loopback-only
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:${nextHopPort}
message_size_limit = 52428800
maillog_file = /var/log/bench-postfix.log
maillog_file_prefixes = /var
`
}

function masterCf(port: number): string {
  const services = readFileSync(
    existsSync('/etc/postfix/master.cf') ? '/etc/postfix/master.cf' : '/usr/share/postfix/master.cf.dist',
    'utf8',
  )
  // Debian's own services, with the SMTP server on our port, and nothing in a chroot that would need files of the system.
  return services
    .split('\n')
    .filter((line) => !/^smtp\s+inet/.test(line))
    .map((line) => line.replace(/^(\S+\s+(?:inet|unix|fifo|pass)\s+\S+\s+\S+\s+)y(\s)/, '$1n$2'))
    .concat(`127.0.0.1:${port} inet n - n - - smtpd`, 'postlog unix-dgram n - n - 1 postlogd', '')
    .join('\n')
}
