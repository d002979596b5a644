/**
 * The spool of a server on this machine, whether one process delivers from it or several workers do. A server without
 * workers keeps its queue in the directory itself; worker `n` of several has a shard of its own, `worker-n` in it, so
 * that nobody waits for another's lock and one that dies leaves the others alone.
 *
 * No mail is forgotten when the number of workers changes: shards without a worker, and the queue of the time without
 * workers, are delivered by worker 0, or by the one process there is, beside its own. They get no new mail.
 */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { QueueStore } from '@mailwright/core'
import { unitedStores } from '@mailwright/queue'
import { type LmdbStoreOptions, lmdbStore } from '@mailwright/store-lmdb'
import type { Worker } from './worker.ts'

export interface SpoolStoreOptions extends LmdbStoreOptions {
  /** Whose share of the spool it is. Default: one process has all of it. */
  readonly worker?: Worker | undefined
}

const SHARD = /^worker-(\d+)$/

/**
 * The queue store of a server or of one of its workers; with `access: 'operator'`, all shards as one queue. Which shards
 * there are is looked up here and now.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for options that cannot work.
 * @example
 * const store = spoolStore({ directory: './spool', worker: { index: 0, count: 4 } })
 */
export function spoolStore({ worker, ...options }: SpoolStoreOptions): QueueStore {
  const { directory } = options
  const directories = options.access === 'operator' ? allShards(directory) : sharesOf(directory, worker)
  return unitedStores(directories.map((each) => lmdbStore({ ...options, directory: each })))
}

/** Its own shard first: that is where new mail goes. */
function sharesOf(directory: string, worker: Worker | undefined): readonly string[] {
  const existing = existingShards(directory)
  if (worker === undefined || worker.count === 1) return [directory, ...existing.map(({ path }) => path)]
  const own = join(directory, `worker-${worker.index}`)
  if (worker.index > 0) return [own]
  const orphans = existing.filter(({ number }) => number >= worker.count).map(({ path }) => path)
  return [own, ...(isSpool(directory) ? [directory] : []), ...orphans]
}

function allShards(directory: string): readonly string[] {
  const shards = existingShards(directory).map(({ path }) => path)
  // Where there is no spool at all, opening the directory says so.
  return isSpool(directory) || shards.length === 0 ? [directory, ...shards] : shards
}

function existingShards(directory: string): readonly { readonly number: number; readonly path: string }[] {
  const names = existsSync(directory) ? readdirSync(directory) : []
  return names
    .flatMap((name) => {
      const number = SHARD.exec(name)?.[1]
      const path = join(directory, name)
      return number === undefined || !isSpool(path) ? [] : [{ number: Number(number), path }]
    })
    .sort((one, other) => one.number - other.number)
}

function isSpool(directory: string): boolean {
  return existsSync(join(directory, 'queue'))
}
