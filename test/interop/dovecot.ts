/** Dovecot's authentication server alone, with a configuration and a folder of its own. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'

export interface Dovecot {
  /** The path of the socket for clients. */
  readonly socket: string
}

/** Starts it in `folder` with a password file; runs as whoever runs the test. It is ended with the test. */
export async function startDovecot(folder: string, users: string): Promise<Dovecot> {
  const base = join(folder, 'run')
  mkdirSync(base, { recursive: true })
  chmodSync(folder, 0o755)
  writeFileSync(join(folder, 'users'), users)
  const socket = dovecotSocket(folder)
  const config = join(folder, 'dovecot.conf')
  writeFileSync(config, dovecotConf(folder, base))
  const child = spawn('dovecot', ['-F', '-c', config], { stdio: 'ignore' })
  const ended = once(child, 'exit')
  onTestFinished(async () => {
    child.kill()
    await ended
  })
  const log = join(folder, 'log')
  await expect
    .poll(() => existsSync(socket), {
      timeout: 20_000,
      message: existsSync(log) ? readFileSync(log, 'utf8') : 'no log',
    })
    .toBe(true)
  return { socket }
}

/** Where the socket is, or will be. */
export function dovecotSocket(folder: string): string {
  return join(folder, 'run', 'auth-test')
}

function dovecotConf(folder: string, base: string): string {
  const user = userInfo().username
  // Its processes run as the user of the test, and in no chroot.
  return `base_dir = ${base}
state_dir = ${base}
log_path = ${join(folder, 'log')}
protocols =
ssl = no
default_login_user = ${user}
default_internal_user = ${user}
default_internal_group = ${user}
auth_mechanisms = plain login cram-md5 scram-sha-256
auth_failure_delay = 0
auth_verbose = yes
passdb {
  driver = passwd-file
  args = ${join(folder, 'users')}
}
userdb {
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent
}
service auth {
  user = ${user}
  chroot =
  unix_listener auth-test {
    mode = 0600
  }
}
service auth-worker {
  user = ${user}
}
service anvil {
  chroot =
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service stats {
  chroot =
}
`
}
