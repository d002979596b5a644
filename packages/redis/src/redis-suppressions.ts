/** A suppression list that several nodes share: an address is looked up in one round trip. */
import { type Mailbox, mailboxKey, type Suppression, type SuppressionList } from '@mailwright/core'
import type { RedisConnectionOptions } from './connection.ts'
import { LazyLink } from './lazy-link.ts'
import { type Script, script } from './script.ts'

export interface RedisSuppressionsOptions extends RedisConnectionOptions {
  /** Nodes with the same name share the list. Default `suppressions`. */
  readonly name?: string
}

/** A suppression list on a server. */
export interface RedisSuppressions extends SuppressionList {
  find(address: Mailbox, now: number): Promise<Suppression | undefined>
  /** Lets go of the connection. */
  close(): Promise<void>
}

/**
 * A suppression list shared by all nodes that use the same server and name.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for options that cannot work.
 * @example
 * const suppressions = redisSuppressions({ url: 'redis://queue.example.org' })
 */
export function redisSuppressions(options: RedisSuppressionsOptions): RedisSuppressions {
  return new SharedSuppressions(new LazyLink(options, options.name ?? 'suppressions'))
}

/** `list` holds what is known by address, `addresses` their order. */
const LIBRARY = `local list, addresses = KEYS[1] .. ':list', KEYS[1] .. ':addresses'`

const FIND: Script = script(`${LIBRARY}
return redis.call('HGET', list, ARGV[3])`)

const ADD: Script = script(`${LIBRARY}
redis.call('HSET', list, ARGV[3], ARGV[4])
redis.call('ZADD', addresses, 0, ARGV[3])`)

/** Whether there was one. Asked again after an answer was lost, it says that there was none. */
const REMOVE: Script = script(`${LIBRARY}
redis.call('ZREM', addresses, ARGV[3])
return redis.call('HDEL', list, ARGV[3])`)

const LIST: Script = script(`${LIBRARY}
local from = ARGV[3] == '' and '-' or '(' .. ARGV[3]
local page = redis.call('ZRANGE', addresses, from, '+', 'BYLEX', 'LIMIT', 0, ARGV[4])
if #page == 0 then return {} end
return redis.call('HMGET', list, unpack(page))`)

/** Addresses read at once. */
const PAGE = 1_000

class SharedSuppressions implements RedisSuppressions {
  readonly #link: LazyLink

  constructor(link: LazyLink) {
    this.#link = link
  }

  async find(address: Mailbox, now: number): Promise<Suppression | undefined> {
    const text = (await this.#link.run(FIND, [mailboxKey(address)])) as string | null
    if (text === null) return undefined
    const known = JSON.parse(text) as Suppression
    return known.until !== undefined && known.until <= now ? undefined : known
  }

  async add(suppression: Suppression): Promise<void> {
    await this.#link.run(ADD, [mailboxKey(suppression.address), JSON.stringify(suppression)])
  }

  async remove(address: Mailbox): Promise<boolean> {
    return Number(await this.#link.run(REMOVE, [mailboxKey(address)])) === 1
  }

  async list({ limit, after }: Parameters<SuppressionList['list']>[0]): Promise<readonly Suppression[]> {
    const found: Suppression[] = []
    let last = after
    while (found.length < limit) {
      const most = Math.min(PAGE, limit - found.length)
      const page = (await this.#link.run(LIST, [last === undefined ? '' : mailboxKey(last), most])) as readonly string[]
      for (const text of page) found.push(JSON.parse(text) as Suppression)
      if (page.length < most) break
      last = found.at(-1)!.address
    }
    return found
  }

  close(): Promise<void> {
    return this.#link.close()
  }
}
