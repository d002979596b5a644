/**
 * Whether a server keeps mail as well as its host expects: looked at whenever a connection is made, for the server may be
 * another one then. What is unsafe is said; nothing is changed on the server.
 */
import { MailwrightError } from '@mailwright/core'
import type { RedisClient } from './connection.ts'

/**
 * What an acknowledged message survives: `always` a crash of the server or its machine; `everysec` a crash of the server's
 * process at most: the last second or two may be lost.
 */
export type Durability = 'always' | 'everysec'

const OLDEST = 7

/** Looks at a server, and tells each problem once. */
export class SafetyWatch {
  readonly #client: RedisClient
  readonly #durability: Durability
  readonly #tell: (problem: string) => void
  readonly #known = new Set<string>()

  constructor(client: RedisClient, durability: Durability, tell: (problem: string) => void) {
    this.#client = client
    this.#durability = durability
    this.#tell = tell
  }

  /** @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` when the server is too old. */
  async look(): Promise<void> {
    for (const problem of await unsafeSettings(this.#client, this.#durability)) {
      if (this.#known.has(problem)) continue
      this.#known.add(problem)
      this.#tell(problem)
    }
  }
}

/** What is unsafe, in words for people; nothing when all is well. */
async function unsafeSettings(client: RedisClient, durability: Durability): Promise<readonly string[]> {
  const version = versionOf(String(await client.call('INFO', 'server')))
  if (version !== undefined && version < OLDEST)
    throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `Redis ${OLDEST} or Valkey is needed, not Redis ${version}`)
  let settings: ReadonlyMap<string, string>
  try {
    settings = await readSettings(client)
  } catch {
    return ['the server does not let CONFIG GET be used: whether mail survives a crash cannot be told']
  }
  return problemsOf(settings, durability)
}

function problemsOf(settings: ReadonlyMap<string, string>, durability: Durability): readonly string[] {
  const problems: string[] = []
  const fsync = settings.get('appendfsync')
  const policy = settings.get('maxmemory-policy')
  if (settings.get('appendonly') !== 'yes')
    problems.push('appendonly is not yes: a crash of the server loses the queue')
  else if (fsync === 'no') problems.push('appendfsync is no: a crash of the machine loses mail')
  else if (fsync !== 'always' && durability === 'always')
    problems.push(`appendfsync is ${fsync}, not always: a crash of the machine loses the last mail`)
  if (durability === 'always' && settings.get('no-appendfsync-on-rewrite') === 'yes')
    problems.push('no-appendfsync-on-rewrite is yes: a crash of the machine may lose mail while the file is rewritten')
  if (policy !== 'noeviction')
    problems.push(`maxmemory-policy is ${policy}, not noeviction: the server may throw mail away`)
  return problems
}

async function readSettings(client: RedisClient): Promise<ReadonlyMap<string, string>> {
  const settings = new Map<string, string>()
  for (const name of ['appendonly', 'appendfsync', 'no-appendfsync-on-rewrite', 'maxmemory-policy']) {
    const answer: unknown = await client.call('CONFIG', 'GET', name)
    const value = Array.isArray(answer) ? answer[1] : (answer as Record<string, unknown>)[name]
    settings.set(name, String(value))
  }
  return settings
}

/** Valkey says of itself that it is Redis 7.2. */
function versionOf(info: string): number | undefined {
  const major = /^redis_version:(\d+)\./m.exec(info)?.[1]
  return major === undefined ? undefined : Number(major)
}
