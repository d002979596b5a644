/**
 * Large bodies in a directory that all nodes share: a file system of the network, or a local one where all nodes are on one
 * machine. A body is written to `tmp-<name>` while it arrives. To become part of a message it is synced, gets its lasting
 * name `<xx>/<message>~<name>`, and its directory is synced: only then may a message name it. So a crash may leave a file
 * without a message, which is removed when it is a day old, and never a message without its file.
 */
import { link, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Call, MailwrightError, type MessageId } from '@mailwright/core'
import { BodyFile, readFileChunks, syncDirectory } from './body-file.ts'
import type { BodyStore, BodyWriter, StoredBody } from './body-store.ts'

export interface DirectoryBodiesOptions {
  /** Made if it is missing (mode 0700). The same one for all nodes. */
  readonly directory: string
}

/** Directories the files are spread over. */
const FAN_OUT = 64
/** How old a stray is at least: no put takes as long. */
const STRAY_AFTER_MS = 86_400_000
/** Files asked about at once. */
const PAGE = 500

/**
 * Bodies in a shared directory.
 *
 * @example
 * redisStore({ url: 'redis://localhost', name: 'edge', bodies: directoryBodies({ directory: '/srv/mail/bodies' }) })
 */
export function directoryBodies({ directory }: DirectoryBodiesOptions): BodyStore {
  if (directory === '') throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', 'bodies need a directory')
  return new DirectoryBodies(directory)
}

class DirectoryBodies implements BodyStore {
  readonly #directory: string
  readonly #made = new Set<string>()

  constructor(directory: string) {
    this.#directory = directory
  }

  async prepare(): Promise<void> {
    try {
      await mkdir(this.#directory, { recursive: true, mode: 0o700 })
      await syncDirectory(join(this.#directory, '..'))
    } catch (cause) {
      throw new MailwrightError('ERR_MAILWRIGHT_STORE', `bodies cannot be kept in ${this.#directory}`, { cause })
    }
  }

  write(name: string): BodyWriter {
    return new BodyFile(join(this.#directory, `tmp-${name}`), async (from, message) => {
      const place = await this.#placeFor(message, name)
      const to = join(this.#directory, place)
      if (from === to) return { path: to, name: place }
      // Linked before the last name goes, so that a reader always finds it.
      await link(from, to)
      await rm(from, { force: true })
      await syncDirectory(join(to, '..'))
      return { path: to, name: place }
    })
  }

  read(name: string, call: Call): AsyncIterable<Uint8Array> {
    return readFileChunks(() => join(this.#directory, name), call)
  }

  async remove(name: string): Promise<void> {
    await rm(join(this.#directory, name), { force: true }).catch(() => undefined)
  }

  async sweep(strays: (bodies: readonly StoredBody[]) => Promise<readonly string[]>): Promise<number> {
    const oldest = (await this.#now()) - STRAY_AFTER_MS
    let removed = 0
    const removeOld = async (name: string): Promise<void> => {
      const path = join(this.#directory, name)
      const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }))
      if (mtimeMs > oldest) return
      await rm(path, { force: true })
      removed += 1
    }
    for (const item of await readdir(this.#directory, { withFileTypes: true })) {
      if (item.isFile()) {
        await removeOld(item.name)
        continue
      }
      const files = await readdir(join(this.#directory, item.name))
      const bodies = files.map((file) => ({ message: file.slice(0, file.indexOf('~')), name: `${item.name}/${file}` }))
      for (let at = 0; at < bodies.length; at += PAGE)
        for (const name of await strays(bodies.slice(at, at + PAGE))) await removeOld(name)
    }
    return removed
  }

  /** What time the file system has: it stamps the files, whatever the nodes' clocks say. */
  async #now(): Promise<number> {
    const probe = join(this.#directory, 'tmp-clock')
    await writeFile(probe, '', { mode: 0o600 })
    return (await stat(probe)).mtimeMs
  }

  async #placeFor(message: MessageId, name: string): Promise<string> {
    const shelf = shelfOf(message)
    if (!this.#made.has(shelf)) {
      await mkdir(join(this.#directory, shelf), { recursive: true, mode: 0o700 })
      await syncDirectory(this.#directory)
      this.#made.add(shelf)
    }
    return `${shelf}/${message}~${name}`
  }
}

/** Ids of one server end alike and those of one hour begin alike, so the shelf comes from all of it. */
function shelfOf(message: MessageId): string {
  let hash = 0
  for (let index = 0; index < message.length; index++) hash = (hash * 31 + message.charCodeAt(index)) >>> 0
  return (hash % FAN_OUT).toString(16).padStart(2, '0')
}
