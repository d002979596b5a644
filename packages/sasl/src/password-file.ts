/**
 * Users in a text file: `user:hash`, and whatever else follows a colon, as Dovecot's passwd-file and `htpasswd` write it.
 * Whether the file changed is looked up at each use; it is then read anew. A broken line is reported and skipped, and so is
 * a second line for one user. A file that cannot be read lets nobody in and refuses nobody: clients are answered 454.
 */
import { readFile, stat } from 'node:fs/promises'
import { MailwrightError } from '@mailwright/core'
import type { BackEndCall, Credentials, StoredSecret } from './credentials.ts'
import { userName } from './identity.ts'
import { asStored, type HashLimits, secretCheck } from './secret-check.ts'
import { type PasswordHash, parseSecret } from './stored-secret.ts'

const MAX_BYTES = 64 * 1024 * 1024
/** Broken lines reported one by one; the rest are counted. */
const MAX_REPORTS = 20

export interface PasswordFileOptions extends HashLimits {
  /** Names it in events. Default `password-file`. */
  readonly name?: string | undefined
}

interface Users {
  readonly version: string
  readonly byName: ReadonlyMap<string, PasswordHash>
  /** Of the kind most users have: what an unknown user is compared with. */
  readonly typical: PasswordHash | undefined
}

/**
 * A password file. Hashes: `{SCHEME}` of `doveadm pw` (BLF-CRYPT, SHA512-CRYPT, SHA256-CRYPT, ARGON2ID, PBKDF2,
 * SCRAM-SHA-256, SHA, SSHA, PLAIN …) and those of `htpasswd` (bcrypt, apr1, `{SHA}`).
 *
 * @example
 * const users = mta.use(passwordAuthentication({ credentials: passwordFile('/etc/mailwright/users') }))
 */
export function passwordFile(path: string, options: PasswordFileOptions = {}): Credentials {
  const secrets = secretCheck(options)
  let users: Users | undefined
  let reading: { readonly version: string; readonly done: Promise<Users> } | undefined

  async function current(call: BackEndCall): Promise<Users> {
    try {
      const { mtimeNs, size, ino } = await stat(path, { bigint: true })
      if (size > MAX_BYTES) throw new MailwrightError('ERR_MAILWRIGHT_LIMIT', 'the file is too large')
      const version = `${mtimeNs} ${size} ${ino}`
      if (users?.version === version) return users
      // Many may find the change at once; one reads.
      if (reading?.version !== version) reading = { version, done: read(version, call) }
      users = await reading.done
      return users
    } catch (cause) {
      reading = undefined
      throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `cannot read the password file ${path}`, { cause })
    }
  }

  async function read(version: string, call: BackEndCall): Promise<Users> {
    const { byName, problems } = parseUsers(await readFile(path, 'utf8'))
    for (const problem of problems.slice(0, MAX_REPORTS)) report(call, problem)
    if (problems.length > MAX_REPORTS) report(call, `${problems.length - MAX_REPORTS} more broken lines`)
    return { version, byName, typical: typical(byName.values()) }
  }

  function report(call: BackEndCall, problem: string): void {
    call.report(new MailwrightError('ERR_MAILWRIGHT_CONFIG', `${path}: ${problem}`))
  }

  return {
    name: options.name ?? 'password-file',
    async verify(user: string, password: string, call: BackEndCall): Promise<boolean> {
      const { byName, typical } = await current(call)
      return secrets.check(password, byName.get(user), typical, call)
    },
    async stored(user: string, call: BackEndCall): Promise<StoredSecret | undefined> {
      const hash = (await current(call)).byName.get(user)
      return hash === undefined ? undefined : asStored('', hash)
    },
  }
}

interface ParsedUsers {
  readonly byName: ReadonlyMap<string, PasswordHash>
  /** Told by line number: a line may hold a secret. */
  readonly problems: readonly string[]
}

/** Reads the text of a password file. */
export function parseUsers(text: string): ParsedUsers {
  const byName = new Map<string, PasswordHash>()
  const problems: string[] = []
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (/^\s*(#|$)/.test(line)) continue
    const [name, secret] = line.split(':', 2)
    const user = userName(name)
    const hash = parseSecret(secret ?? '')
    if (user === undefined || hash === undefined) problems.push(`line ${index + 1} is broken, or of no known scheme`)
    else if (byName.has(user)) problems.push(`line ${index + 1} is a second one for its user`)
    else byName.set(user, hash)
  }
  return { byName, problems }
}

/** One of the kind that most are of. */
function typical(hashes: Iterable<PasswordHash>): PasswordHash | undefined {
  const counts = new Map<string, { count: number; readonly hash: PasswordHash }>()
  for (const hash of hashes) {
    const kind = `${hash.scheme} ${costOf(hash)}`
    const seen = counts.get(kind)
    if (seen === undefined) counts.set(kind, { count: 1, hash })
    else seen.count++
  }
  return [...counts.values()].sort((one, other) => other.count - one.count)[0]?.hash
}

/** What makes the hash slow. */
function costOf(hash: PasswordHash): string {
  if ('rounds' in hash) return String(hash.rounds)
  if ('keys' in hash) return String(hash.keys.iterations)
  return 'text' in hash ? (/^\$[^$]+\$(?:v=\d+\$[^$]+|rounds=\d+|\d\d(?=\$))?/.exec(hash.text)?.[0] ?? '') : ''
}
