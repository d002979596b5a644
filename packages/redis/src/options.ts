/** What a Redis store may be told, and what it is told otherwise. */
import { MailwrightError } from '@mailwright/core'
import type { BodyStore } from './body-store.ts'
import type { RedisConnectionOptions } from './connection.ts'
import type { Durability } from './start-checks.ts'

export interface RedisStoreOptions extends RedisConnectionOptions {
  /** The queue's name: nodes with the same name share a queue. Letters, digits, `.`, `_` and `-`. */
  readonly name: string
  /**
   * This node's name among those that share the queue, and the same after a restart: what its former life was delivering
   * when it crashed is then free at once. Default: none; such leases end by themselves.
   */
  readonly node?: string
  /** Where large bodies are. Default: in the server, up to `largestBody`. */
  readonly bodies?: BodyStore
  /** Bodies up to this many bytes stand beside their message. Default 128 KiB. */
  readonly inlineLimit?: number
  /** Largest body kept in the server, in bytes; a larger one is refused with 552. Default 32 MiB. */
  readonly largestBody?: number
  /** What acknowledged mail is to survive. A server that is set up for less is told of by `store.unsafe`. Default `always`. */
  readonly durability?: Durability
  /**
   * Whose clock ends leases. `server` (the default): all nodes agree, whatever their clocks say. `caller`: the times that
   * come with each call, for tests on a manual clock.
   */
  readonly clock?: 'server' | 'caller'
}

export interface RedisStoreSettings {
  readonly prefix: string
  readonly node: string | undefined
  readonly inlineLimit: number
  readonly largestBody: number
  readonly durability: Durability
  readonly clock: 'server' | 'caller'
}

const KIB = 1024
const NAME = /^[A-Za-z0-9._-]{1,64}$/

/** @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for names and sizes that are none. */
export function settingsOf(options: RedisStoreOptions): RedisStoreSettings {
  const { inlineLimit = 128 * KIB, largestBody = 32 * KIB * KIB } = options
  for (const [name, size] of Object.entries({ inlineLimit, largestBody }))
    if (!Number.isSafeInteger(size) || size < 0)
      throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `${name} is no number of bytes: ${size}`)
  const { durability = 'always', clock = 'server' } = options
  if (options.node !== undefined) prefixOf(options.node)
  return { prefix: prefixOf(options.name), node: options.node, inlineLimit, largestBody, durability, clock }
}

/**
 * What all keys of a queue begin with. In a cluster, keys with the same text in braces are on the same node.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG`
 */
export function prefixOf(name: string): string {
  if (!NAME.test(name)) throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `not a name for Redis keys: ${name}`)
  return `{mailwright:${name}}`
}
