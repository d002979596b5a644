/**
 * Limits that several nodes keep together. A rate is a schedule of moments (GCRA): each pace takes the next one. A place is
 * free again when its lease ends, by the server's clock. While the server is away every call rejects with
 * `ERR_MAILWRIGHT_STORE`: what is then to be done is the caller's to know.
 */
import type { Limits, Place, Rate } from '@mailwright/core'
import type { RedisConnectionOptions } from './connection.ts'
import { LazyLink } from './lazy-link.ts'
import { type Script, script } from './script.ts'
import { ServerClock } from './server-clock.ts'

export interface RedisLimitsOptions extends RedisConnectionOptions {
  /** Nodes with the same name keep the same limits. Default `limits`. */
  readonly name?: string
  /** Whose clock counts: the server's (the default), or that of the times given, for tests on a manual clock. */
  readonly clock?: 'server' | 'caller'
}

/** Limits on a server. */
export interface RedisLimits extends Limits {
  pace(key: string, rate: Rate, now: number): Promise<number>
  enter(key: string, limit: number, leaseMs: number, now: number): Promise<Place | undefined>
  renew(place: Place, leaseMs: number, now: number): Promise<boolean>
  leave(place: Place): Promise<void>
  /** Lets go of the connection. Places still taken end with their leases. */
  close(): Promise<void>
}

/**
 * Limits shared by all nodes that use the same server and name.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for options that cannot work.
 * @example
 * const limits = redisLimits({ url: 'redis://queue.example.org' })
 */
export function redisLimits(options: RedisLimitsOptions): RedisLimits {
  return new SharedLimits(new LazyLink(options, options.name ?? 'limits'), options.clock ?? 'server')
}

/** Keys of a manual clock do not go by the server's: they are kept for a day. */
const LIBRARY = `
local key, given = KEYS[1] .. ':' .. ARGV[3], ARGV[4]
local time = redis.call('TIME')
local now = given ~= '' and tonumber(given) or time[1] * 1000 + time[2] / 1000
local function exact(value) return string.format('%.17g', value) end
local function keep(ms)
  redis.call('PEXPIRE', key, given ~= '' and 86400000 or math.max(1, math.ceil(ms)))
end`

/** Key, clock, ms from one to the next, burst. Answers the server's time, and the moment. */
const PACE: Script = script(`${LIBRARY}
local interval, burst = tonumber(ARGV[5]), tonumber(ARGV[6])
local booked = math.max(tonumber(redis.call('GET', key) or now), now)
redis.call('SET', key, exact(booked + interval))
keep(booked + interval - now + 1000)
return { exact(now), exact(math.max(now, booked - (burst - 1) * interval)) }`)

/** Key, clock, token, limit, lease in ms. Answers whether there was a place. */
const ENTER: Script = script(`${LIBRARY}
redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
if not redis.call('ZSCORE', key, ARGV[5]) then
  if redis.call('ZCARD', key) >= tonumber(ARGV[6]) then return 0 end
  redis.call('ZADD', key, exact(now + ARGV[7]), ARGV[5])
end
keep(redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')[2] - now + 1000)
return 1`)

/** Key, clock, token, lease in ms. Answers whether it still had the place. */
const RENEW: Script = script(`${LIBRARY}
local till = redis.call('ZSCORE', key, ARGV[5])
if not till or tonumber(till) <= now then return 0 end
redis.call('ZADD', key, exact(now + ARGV[6]), ARGV[5])
keep(redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')[2] - now + 1000)
return 1`)

/** Key, clock, token. */
const LEAVE: Script = script(`${LIBRARY}
redis.call('ZREM', key, ARGV[5])`)

class SharedLimits implements RedisLimits {
  readonly #link: LazyLink
  readonly #clock: ServerClock

  constructor(link: LazyLink, whose: 'server' | 'caller') {
    this.#link = link
    this.#clock = new ServerClock(whose)
  }

  async pace(key: string, { count, perMs, burst = 1 }: Rate, now: number): Promise<number> {
    const args = [`pace:${key}`, this.#clock.given(now), perMs / count, burst]
    const [serverNow, moment] = (await this.#link.run(PACE, args)) as readonly [string, string]
    this.#clock.learn(Number(serverNow), now)
    return Math.max(now, Math.ceil(this.#clock.toOurs(Number(moment))))
  }

  async enter(key: string, limit: number, leaseMs: number, now: number): Promise<Place | undefined> {
    const number = this.#link.number()
    const token = `${this.#link.node}.${number}`
    const args = [`places:${key}`, this.#clock.given(now), token, limit, leaseMs]
    return Number(await this.#link.run(ENTER, args, number)) === 1 ? { key, token } : undefined
  }

  async renew({ key, token }: Place, leaseMs: number, now: number): Promise<boolean> {
    return Number(await this.#link.run(RENEW, [`places:${key}`, this.#clock.given(now), token, leaseMs])) === 1
  }

  async leave({ key, token }: Place): Promise<void> {
    await this.#link.run(LEAVE, [`places:${key}`, '', token])
  }

  close(): Promise<void> {
    return this.#link.close()
  }
}
