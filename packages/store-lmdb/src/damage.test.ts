/** Spools on damaged disks: what can be read is delivered, the rest is set aside or refused, and nothing goes on for ever. */
import { execFile } from 'node:child_process'
import { cp, mkdir, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import { checkSpool } from './data-file.ts'
import { openDatabase, readCounter } from './database.ts'
import { lmdbStore } from './lmdb-store.ts'
import {
  CALL,
  contentOf,
  type EventLog,
  eventLog,
  LANE,
  letter,
  message,
  relayed,
  spoolDirectory,
} from './testing-support/spool-directory.ts'
import { CHILD } from './testing-support/spool-process.ts'

const run = promisify(execFile)
const BODY = 'so it is said '

/** A spool of 40 messages in 4 lanes, every fifth with a large body. */
async function filled(): Promise<string> {
  const directory = await spoolDirectory()
  const store = lmdbStore({ directory, minFree: 0 })
  await store.open(eventLog())
  for (let number = 0; number < 40; number++) {
    const body = BODY.repeat(number % 5 === 0 ? 15_000 : 10 + number * 7)
    await store.put(message(`m${String(number).padStart(2, '0')}`, `smtp:${number % 4}`), letter(body), undefined, CALL)
  }
  await store.close()
  return directory
}

const dataFile = (directory: string): string => join(directory, 'queue', 'data.mdb')

/** Opens and drains spools in another process: what it says of each. */
async function drained(
  directories: readonly string[],
): Promise<readonly { readonly said: string; readonly message?: string }[]> {
  const { stdout } = await run(process.execPath, [CHILD, 'drain', ...directories], { timeout: 50_000 })
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
}

/** Numbers that are the same every time. */
function numbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff
    return state / 0x7fff_ffff
  }
}

/** Where in the database texts of ours lie: in records, not between them. */
function inRecords(bytes: Buffer): readonly number[] {
  const places: number[] = []
  for (const text of [BODY, '"lane":"smtp', '"recipients":', '"headLength":'])
    for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1)) places.push(at)
  return places
}

describe('a spool whose records were changed on the disk', () => {
  it('is opened and delivered, whatever was hit, and ends', { timeout: 60_000 }, async () => {
    const directory = await filled()
    const whole = await readFile(dataFile(directory))
    const places = inRecords(whole)
    const random = numbers(7)
    const spools: string[] = []
    for (let number = 0; number < 25; number++) {
      const spool = join(await spoolDirectory(), 'spool')
      await cp(directory, spool, { recursive: true, filter: (path) => !path.endsWith('.sock') })
      const bytes = Buffer.from(whole)
      for (let flips = 0; flips <= number; flips++) {
        const at = places[Math.floor(random() * places.length)]! + Math.floor(random() * 10)
        bytes[at] = bytes[at]! ^ (1 << Math.floor(random() * 8))
      }
      await writeFile(dataFile(spool), bytes)
      expect(await checkSpool(spool)).toBeUndefined()
      for (const item of await readdir(join(spool, 'bodies'), { recursive: true, withFileTypes: true })) {
        if (!item.isFile() || random() < 0.6) continue
        await truncate(join(item.parentPath, item.name), Math.floor(random() * 210_000))
      }
      spools.push(spool)
    }
    for (const { said } of await drained(spools)) expect(said).toBe('drained')
  })

  it('sets aside what was hit, and nothing else', async () => {
    const directory = await filled()
    const bytes = await readFile(dataFile(directory))
    // Of one message the body, of another the entry. Pages that are not in use any more may hold copies.
    const hit = (text: string, from: string): void => {
      for (let at = bytes.indexOf(from); at >= 0; at = bytes.indexOf(from, at + 1)) {
        const found = bytes.indexOf(text, at)
        if (found >= 0 && found - at < 200) bytes[found] = bytes[found]! ^ 4
      }
    }
    hit(BODY, '"bodyLength":154}')
    hit('"attempts"', '"lane":"smtp:3"')
    await writeFile(dataFile(directory), bytes)
    const store = lmdbStore({ directory, minFree: 0 })
    const events: EventLog = eventLog()
    await store.open(events)
    onTestFinished(() => store.close())
    const delivered: string[] = []
    for (const { lane } of await store.lanes({ now: 0, limit: 9 }))
      for (const claim of await store.claim({ lane, now: 0, limit: 99, leaseMs: 9 })) {
        expect((await contentOf(claim.message)).toString()).toMatch(/test\r\n\r\n(so it is said )+$/)
        delivered.push(claim.entry.message)
        await store.settle(claim, relayed(claim))
      }
    const aside = events.log.filter((event) => event.type === 'store.corrupt').map((event) => event.message)
    expect(aside.length).toBeGreaterThan(0)
    expect([...delivered, ...new Set(aside)].sort()).toHaveLength(40)
    expect(await store.entries({ limit: 99 })).toEqual([])
  })
})

describe('a spool whose database was cut off', () => {
  it('is refused with one clear error, or delivered, wherever it was cut', { timeout: 60_000 }, async () => {
    const directory = await filled()
    const { length } = await readFile(dataFile(directory))
    const random = numbers(3)
    const spools: string[] = []
    for (const size of [
      1,
      100,
      4_096,
      5_000,
      8_192,
      ...Array.from({ length: 12 }, () => Math.floor(random() * length)),
    ]) {
      const spool = join(await spoolDirectory(), 'spool')
      await cp(directory, spool, { recursive: true, filter: (path) => !path.endsWith('.sock') })
      await truncate(dataFile(spool), size)
      spools.push(spool)
    }
    for (const { said, message: text } of await drained(spools))
      if (said !== 'drained') expect(text).toMatch(/^the database in .* is damaged: it was cut off$/)
  })

  it('is not touched: with the rest of it back it is whole', async () => {
    const directory = await filled()
    const whole = await readFile(dataFile(directory))
    await truncate(dataFile(directory), 20_000)
    await expect(lmdbStore({ directory }).open(eventLog())).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_STORE' })
    await writeFile(dataFile(directory), whole)
    expect(await drained([directory])).toMatchObject([{ said: 'drained' }])
  })
})

describe('a spool whose database has damaged first pages', () => {
  const DAMAGE: readonly (readonly [string, (bytes: Buffer) => unknown, string])[] = [
    ['no mark', (bytes) => bytes.writeUInt32LE(7, 24), 'its first pages are none'],
    ['another version', (bytes) => bytes.writeUInt32LE(1, 4_096 + 28), 'its first pages are none'],
    ['nothing but zeros', (bytes) => bytes.fill(0, 0, 8_192), 'its first pages are none'],
    ['no size of pages', (bytes) => bytes.writeUInt32LE(4_097, 48), 'its first pages are none'],
    ['different sizes of pages', (bytes) => bytes.writeUInt32LE(8_192, 4_096 + 48), 'its first pages disagree'],
    [
      'roots nowhere',
      (bytes) => [0, 4_096].forEach((at) => void bytes.writeUInt32LE(0x7fff_ffff, at + 136)),
      'its roots are nowhere',
    ],
  ]
  it.each(DAMAGE)('is refused with one clear error: %s', async (_, damage, problem) => {
    const directory = await filled()
    const bytes = await readFile(dataFile(directory))
    damage(bytes)
    await writeFile(dataFile(directory), bytes)
    for (const access of ['owner', 'operator'] as const)
      await expect(lmdbStore({ directory, access }).open(eventLog())).rejects.toMatchObject({
        code: 'ERR_MAILWRIGHT_STORE',
        message: `the database in ${directory} is damaged: ${problem}`,
      })
    expect(await checkSpool(directory)).toBe(problem)
  })
})

describe('the check of a spool', () => {
  it('finds nothing wrong with one that is sound, empty or not there', async () => {
    const directory = await spoolDirectory()
    expect(await checkSpool(directory)).toBeUndefined()
    await mkdir(join(directory, 'queue'))
    await writeFile(dataFile(directory), '')
    expect(await checkSpool(directory)).toBeUndefined()
    expect(await checkSpool(await filled())).toBeUndefined()
  })

  it('says of any bytes whether they are sound, and never fails otherwise', async () => {
    const directory = await filled()
    const whole = await readFile(dataFile(directory))
    let unsound = 0
    const property = fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 1_000, size: 'max' }),
      async (changes) => {
        const bytes = Buffer.from(whole)
        for (const [at, value] of changes) bytes[at] = value
        await writeFile(dataFile(directory), bytes)
        if ((await checkSpool(directory)) !== undefined) unsound += 1
      },
    )
    await fc.assert(property, { seed: 1, numRuns: 40 })
    expect(unsound).toBeGreaterThan(10)
  })
})

describe('an index that lost or gained rows', () => {
  it('is made anew at the next opening, and no mail is forgotten', async () => {
    const directory = await filled()
    const db = openDatabase(directory, 2 ** 26)
    await db.due.remove(['smtp:1', 0, 'm01', 0])
    await db.due.remove(['smtp:2', 0, 'm02', 0])
    await db.due.put(['smtp:nowhere', 0, 'm03', 0], new Uint8Array())
    await db.held.put([LANE, 'm99', 0], new Uint8Array())
    await db.held.put([LANE, 'm98', 0], new Uint8Array())
    await db.held.put([LANE, 'm97', 0], new Uint8Array())
    await db.entries.remove(['m04', 0])
    await db.heads.clearAsync()
    await db.root.close()
    const store = lmdbStore({ directory, minFree: 0 })
    const events = eventLog()
    await store.open(events)
    expect(events.log).toContainEqual({ type: 'store.corrupt', message: 'm04', problem: 'no entries' })
    expect(await store.stats()).toMatchObject({ messages: 39, entries: 39, held: 0, lanes: 4 })
    let claimed = 0
    for (const { lane } of await store.lanes({ now: 0, limit: 9 }))
      claimed += (await store.claim({ lane, now: 0, limit: 99, leaseMs: 9 })).length
    expect(claimed).toBe(39)
    await store.close()
    const again = openDatabase(directory, 2 ** 26)
    expect(readCounter(again, 'rebuild')).toBe(0)
    await again.root.close()
  })

  it('is made anew after a row led nowhere', async () => {
    const directory = await filled()
    const db = openDatabase(directory, 2 ** 26)
    // As many rows as there should be, one of them wrong.
    await db.due.remove(['smtp:1', 0, 'm01', 0])
    await db.due.put(['smtp:1', 0, 'm0x', 0], new Uint8Array())
    await db.root.close()
    for (const expected of [9, 10]) {
      const store = lmdbStore({ directory, minFree: 0 })
      await store.open(eventLog())
      expect(await store.claim({ lane: 'smtp:1', now: 0, limit: 99, leaseMs: 9 })).toHaveLength(expected)
      await store.close()
    }
    await rm(directory, { recursive: true })
  })
})
