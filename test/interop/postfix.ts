/** Debian's Postfix with a configuration and a queue of its own, that relays everything it is sent. */
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort, greeted } from '../bench/ports.ts'

export interface Postfix {
  /** Where its SMTP server listens. */
  readonly port: number
  /** What it has logged so far. */
  log(): string
  stop(): void
}

export interface PostfixOptions {
  /** Parameters of main.cf beyond or instead of our own. */
  readonly settings: Readonly<Record<string, string>>
  /** Lines of master.cf beyond Debian's. */
  readonly services?: readonly string[]
}

/** Starts it in `folder`. Needs root. Whoever started it stops it. */
export async function startPostfix(folder: string, { settings, services = [] }: PostfixOptions): Promise<Postfix> {
  const port = await freePort()
  const place = (name: string): string => {
    mkdirSync(join(folder, name))
    return join(folder, name)
  }
  const [config, queue, data] = [place('config'), place('queue'), place('data')]
  chmodSync(folder, 0o755)
  execFileSync('chown', ['postfix', data])
  const log = join(data, 'log')
  writeFileSync(join(config, 'main.cf'), mainCf({ ...places(queue, data), ...OURS, ...settings }))
  writeFileSync(join(config, 'master.cf'), masterCf(port, services))
  execFileSync('postfix', ['-c', config, 'start'], { stdio: 'pipe' })
  const stop = (): void => void execFileSync('postfix', ['-c', config, 'abort'], { stdio: 'pipe' })
  try {
    await greeted(port)
  } catch (error) {
    stop()
    throw error
  }
  return { port, log: () => readFileSync(log, 'utf8'), stop }
}

const OURS = {
  compatibility_level: '3.6',
  command_directory: '/usr/sbin',
  daemon_directory: '/usr/lib/postfix/sbin',
  mail_owner: 'postfix',
  setgid_group: 'postdrop',
  myhostname: 'postfix.example.org',
  mydestination: '',
  alias_maps: '',
  inet_interfaces: 'loopback-only',
  inet_protocols: 'ipv4',
  mynetworks: '127.0.0.0/8',
  message_size_limit: '52428800',
  local_header_rewrite_clients: '',
  smtp_line_length_limit: '0',
}

function places(queue: string, data: string): Readonly<Record<string, string>> {
  return {
    queue_directory: queue,
    data_directory: data,
    maillog_file: join(data, 'log'),
    maillog_file_prefixes: data,
  }
}

function mainCf(settings: Readonly<Record<string, string>>): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name} = ${value}\n`)
    .join('')
}

function masterCf(port: number, more: readonly string[]): string {
  const services = readFileSync('/usr/share/postfix/master.cf.dist', 'utf8')
  // Debian's own services, with the SMTP server on our port, and nothing in a chroot that would need files of the system.
  return services
    .split('\n')
    .filter((line) => !/^smtp\s+inet/.test(line))
    .map((line) => line.replace(/^(\S+\s+(?:inet|unix|fifo|pass)\s+\S+\s+\S+\s+)y(\s)/, '$1n$2'))
    .concat(`127.0.0.1:${port} inet n - n - - smtpd`, ...more, '')
    .join('\n')
}
