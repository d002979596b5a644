/** Dovecot's LMTP server alone, with a configuration and a folder of its own: it puts mail into Maildirs. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'

export interface DovecotLmtp {
  /** The path of the socket for mail. */
  readonly socket: string
  /** What is in the mailbox of a user, in no order. */
  mailOf(user: string): readonly string[]
}

/** Dovecot does not deliver as root. */
const NOBODY = 65_534

/** Starts it in `folder`; it knows these users. It is ended with the test. */
export async function startDovecotLmtp(folder: string, users: readonly string[]): Promise<DovecotLmtp> {
  const base = join(folder, 'run')
  const homes = join(folder, 'homes')
  for (const each of [base, homes]) mkdirSync(each, { recursive: true })
  chmodSync(folder, 0o755)
  if (userInfo().uid === 0) chownSync(homes, NOBODY, NOBODY)
  writeFileSync(join(folder, 'users'), users.map((user) => `${user}:{PLAIN}x\n`).join(''))
  const socket = join(base, 'lmtp-test')
  const config = join(folder, 'dovecot.conf')
  writeFileSync(config, configuration(folder, base, homes))
  const child = spawn('dovecot', ['-F', '-c', config], { stdio: 'ignore' })
  const ended = once(child, 'exit')
  onTestFinished(async () => {
    child.kill()
    await ended
  })
  await expect.poll(() => existsSync(socket), { timeout: 20_000, message: logOf(folder) }).toBe(true)
  return {
    socket,
    mailOf(user: string): readonly string[] {
      const arrivals = join(homes, user, 'Maildir', 'new')
      if (!existsSync(arrivals)) return []
      return readdirSync(arrivals).map((name) => readFileSync(join(arrivals, name), 'latin1'))
    },
  }
}

function logOf(folder: string): string {
  const log = join(folder, 'log')
  return existsSync(log) ? readFileSync(log, 'utf8') : 'no log'
}

function configuration(folder: string, base: string, homes: string): string {
  const { username: user, uid, gid } = userInfo()
  const owner = uid === 0 ? `uid=${NOBODY} gid=${NOBODY}` : `uid=${uid} gid=${gid}`
  return `base_dir = ${base}
state_dir = ${base}
log_path = ${join(folder, 'log')}
protocols = lmtp
ssl = no
default_login_user = ${user}
default_internal_user = ${user}
default_internal_group = ${user}
first_valid_uid = 1
mail_location = maildir:~/Maildir
passdb {
  driver = passwd-file
  args = username_format=%n ${join(folder, 'users')}
}
userdb {
  driver = static
  args = ${owner} home=${homes}/%n
}
service lmtp {
  user = ${user}
  chroot =
  unix_listener lmtp-test {
    mode = 0600
  }
}
service auth {
  user = ${user}
  chroot =
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
