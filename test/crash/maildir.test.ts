/** `kill -9` of a mail exchanger while it delivers to Maildirs: every acknowledged message ends in `new`, whole. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { randomInt } from '@mailwright/core'
import { seededRandom } from '@mailwright/testing'
import { expect, test } from 'vitest'
import { readLetter } from '../support/letter.ts'
import { MAILBOXES } from './mx.ts'
import { emptyQueue } from './operator.ts'
import { crashSeed } from './seed.ts'
import { senders } from './senders.ts'
import { startVictim, type Victim } from './victim.ts'

const ROUNDS = 10
const CLIENTS = 4
const LIFE_MS = 600
const ASSEMBLY = fileURLToPath(new URL('./mx.ts', import.meta.url))

interface Mail {
  /** How many files hold each message. */
  readonly files: ReadonlyMap<string, number>
  /** Files that hold no whole message. */
  readonly partial: readonly string[]
}

/** What a mail reader would find: everything in `new`. */
class Reader {
  readonly #directory: string
  /** Files never change once they are there. */
  readonly #read = new Map<string, string>()

  constructor(directory: string) {
    this.#directory = directory
  }

  async look(): Promise<Mail> {
    const files = new Map<string, number>()
    const partial: string[] = []
    for (const name of MAILBOXES) {
      const folder = join(this.#directory, name, 'new')
      for (const file of await readdir(folder).catch(() => [])) {
        const path = join(folder, file)
        const id = this.#read.get(path) ?? (await this.#readFile(path))
        if (id === undefined) partial.push(path)
        else files.set(id, (files.get(id) ?? 0) + 1)
      }
    }
    return { files, partial }
  }

  async #readFile(path: string): Promise<string | undefined> {
    const { id, intact } = readLetter(await readFile(path))
    if (id === undefined || !intact) return undefined
    this.#read.set(path, id)
    return id
  }
}

test(`an MX that is killed ${ROUNDS} times while it delivers loses nothing and shows no half message`, async () => {
  const seed = crashSeed('Maildir')
  const random = seededRandom(seed)
  const directory = await mkdtemp(join(tmpdir(), 'mailwright-crash-'))
  const sending = senders(
    random.fork('senders'),
    MAILBOXES.map((name) => `${name}@crash.example`),
  )
  const reader = new Reader(directory)
  const start = (): Victim => startVictim(['run', ASSEMBLY, '--log-level', 'error'], { CRASH_DIRECTORY: directory })
  let mx: Victim | undefined
  try {
    for (let round = 0; round < ROUNDS; round++) {
      mx = start()
      const port = await mx.listening
      if (port === undefined) throw new Error(`round ${round}: the MX did not start:\n${mx.complaints()}`)
      const load = sending.until(port, CLIENTS)
      await new Promise((resolve) => setTimeout(resolve, randomInt(random, LIFE_MS)))
      await mx.kill()
      await load
      expect({ round, partial: (await reader.look()).partial }).toEqual({ round, partial: [] })
      expect(mx.complaints()).toBe('')
    }
    mx = start()
    await sending.send((await mx.listening)!, 10)
    await emptyQueue(join(directory, 'spool'))
    expect(await mx.stop()).toBe(0)

    const { files, partial } = await reader.look()
    const missing = [...sending.acknowledged].filter((id) => !files.has(id))
    const copies = [...files.values()].reduce((sum, count) => sum + count, 0)
    console.log(
      `crash of the MX: seed ${seed}, ${sending.sent} sent, ${sending.acknowledged.size} acknowledged, ` +
        `${files.size} in mailboxes, ${copies - files.size} duplicates, ${missing.length} missing`,
    )
    expect({ seed, missing, partial }).toEqual({ seed, missing: [], partial: [] })
    expect(sending.acknowledged.size).toBeGreaterThan(ROUNDS)
  } finally {
    await mx?.kill()
    await rm(directory, { recursive: true, force: true })
  }
}, 120_000)
