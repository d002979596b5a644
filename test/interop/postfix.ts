/** Debian's Postfix with a configuration and a queue of its own, STARTTLS, and everything relayed to one port. */
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { freePort, greeted } from '../bench/ports.ts'

export interface Postfix {
  readonly port: number
}

/** Starts it in `folder`, where `key.pem` and `cert.pem` are. It is ended with the test. */
export async function startPostfix(folder: string, relayPort: number): Promise<Postfix> {
  const port = await freePort()
  const place = (name: string): string => {
    mkdirSync(join(folder, name))
    return join(folder, name)
  }
  const [config, queue, data] = [place('config'), place('queue'), place('data')]
  chmodSync(folder, 0o755)
  execFileSync('chown', ['postfix', data])
  writeFileSync(join(config, 'main.cf'), mainCf(folder, queue, data, relayPort))
  writeFileSync(join(config, 'master.cf'), masterCf(port))
  execFileSync('postfix', ['-c', config, 'start'], { stdio: 'pipe' })
  onTestFinished(() => void execFileSync('postfix', ['-c', config, 'abort'], { stdio: 'pipe' }))
  await greeted(port)
  return { port }
}

function mainCf(folder: string, queue: string, data: string, relayPort: number): string {
  return `compatibility_level = 3.6
queue_directory = ${queue}
data_directory = ${data}
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = postfix.example.org
mydestination =
alias_maps =
inet_interfaces = loopback-only
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:${relayPort}
message_size_limit = 52428800
local_header_rewrite_clients =
smtpd_tls_security_level = encrypt
smtpd_tls_cert_file = ${join(folder, 'cert.pem')}
smtpd_tls_key_file = ${join(folder, 'key.pem')}
smtpd_tls_received_header = yes
smtp_line_length_limit = 0
maillog_file = ${join(data, 'log')}
maillog_file_prefixes = ${folder}
`
}

function masterCf(port: number): string {
  const services = readFileSync('/usr/share/postfix/master.cf.dist', 'utf8')
  // Debian's own services, with the SMTP server on our port, and nothing in a chroot that would need files of the system.
  return services
    .split('\n')
    .filter((line) => !/^smtp\s+inet/.test(line))
    .map((line) => line.replace(/^(\S+\s+(?:inet|unix|fifo|pass)\s+\S+\s+\S+\s+)y(\s)/, '$1n$2'))
    .concat(`127.0.0.1:${port} inet n - n - - smtpd`, 'postlog unix-dgram n - n - 1 postlogd', '')
    .join('\n')
}
