/** Spools that another version wrote. */
import { expect, it, onTestFinished } from 'vitest'
import { openDatabase, readCounter } from './database.ts'
import { type LmdbStore, lmdbStore } from './lmdb-store.ts'
import { writeFormatOne } from './testing-support/format-one.ts'
import { contentOf, deferred, eventLog, LANE, relayed, spoolDirectory } from './testing-support/spool-directory.ts'

const HOUR = 3_600_000
const OLD = [
  { id: 'a1', lane: LANE, arrivedAt: 0, dueAt: 5, attempts: 2, body: 'one' },
  { id: 'a2', lane: LANE, arrivedAt: HOUR, dueAt: 6, attempts: 0, body: 'two', filed: true },
  { id: 'a3', lane: 'smtp:b', arrivedAt: HOUR, dueAt: 7, attempts: 0, held: 'spam', body: 'three' },
] as const

async function opened(directory: string): Promise<LmdbStore & { readonly log: readonly unknown[] }> {
  const store = lmdbStore({ directory, minFree: 0 })
  const { log, ...events } = eventLog()
  await store.open({ log, ...events } as never)
  onTestFinished(() => store.close())
  return Object.assign(store, { log })
}

async function format(directory: string): Promise<number> {
  const db = openDatabase(directory, 2 ** 24)
  try {
    return readCounter(db, 'format')
  } finally {
    await db.root.close()
  }
}

it('mail in a spool of format 1 is all there, and counted', async () => {
  const directory = await spoolDirectory()
  await writeFormatOne(directory, OLD)
  const store = await opened(directory)
  const entries = await store.entries({ limit: 9 })
  expect(entries).toMatchObject(OLD.map(({ id, lane, attempts, dueAt }) => ({ message: id, lane, attempts, dueAt })))
  expect(await store.stats()).toEqual({
    messages: 3,
    entries: 3,
    held: 1,
    deferred: 1,
    claimed: 0,
    bytes: 3 * 16 + 11,
    lanes: 2,
    oldest: 0,
  })
  expect(await store.shape({ now: 2 * HOUR, ages: [1.5 * HOUR], limit: 9 })).toEqual([
    { lane: LANE, entries: 2, ages: [1, 1] },
    { lane: 'smtp:b', entries: 1, ages: [1, 0] },
  ])
  expect(store.log).toEqual([{ type: 'store.recovered', messages: 3, strays: 0, corrupt: 0 }])
  await store.close()
  expect(await format(directory)).toBe(2)
})

it('mail in a spool of format 1 is delivered, deferred and kept like any other', async () => {
  const directory = await spoolDirectory()
  await writeFormatOne(directory, OLD)
  const store = await opened(directory)
  await store.release({}, 8)
  const [one, two] = await store.claim({ lane: LANE, now: 9, limit: 9, leaseMs: 1_000 })
  expect((await contentOf(two!.message)).toString()).toBe('Subject: old\r\n\r\ntwo')
  await store.settle(one!, deferred(one!, 20))
  await store.settle(two!, relayed(two!))
  await store.close()
  const again = await opened(directory)
  expect(await again.stats()).toMatchObject({ messages: 2, held: 0, deferred: 1, bytes: 2 * 16 + 8 })
  const [late] = await again.claim({ lane: LANE, now: 20, limit: 9, leaseMs: 1_000 })
  expect((await contentOf(late!.message)).toString()).toBe('Subject: old\r\n\r\none')
  expect(await again.claim({ lane: 'smtp:b', now: 9, limit: 9, leaseMs: 1_000 })).toHaveLength(1)
})

it('an operator does not upgrade a spool: that is for its owner', async () => {
  const directory = await spoolDirectory()
  await writeFormatOne(directory, OLD)
  const operator = lmdbStore({ directory, access: 'operator' })
  await expect(operator.open(eventLog())).rejects.toMatchObject({
    code: 'ERR_MAILWRIGHT_STORE',
    message: expect.stringContaining('format 1'),
  })
  expect(await format(directory)).toBe(1)
})

it.each([3, 99, 0.5, -1])('a spool of format %d is left alone', async (number) => {
  const directory = await spoolDirectory()
  await writeFormatOne(directory, OLD)
  const db = openDatabase(directory, 2 ** 24)
  await db.counters.put('format', Buffer.from(new Float64Array([number]).buffer))
  await db.root.close()
  for (const access of ['owner', 'operator'] as const)
    await expect(lmdbStore({ directory, access }).open(eventLog())).rejects.toMatchObject({
      code: 'ERR_MAILWRIGHT_STORE',
      message: `the spool has format ${number}, and this version knows formats up to 2`,
    })
  expect(await format(directory)).toBe(number)
})

it('a spool of format 1 with an entry that cannot be read loses that one', async () => {
  const directory = await spoolDirectory()
  await writeFormatOne(directory, OLD)
  const db = openDatabase(directory, 2 ** 24)
  await db.entries.put(['a1', 0], Buffer.from('{'), 1)
  await db.root.close()
  const store = await opened(directory)
  expect(store.log).toContainEqual({ type: 'store.corrupt', message: 'a1', problem: 'the JSON cannot be parsed' })
  expect(await store.stats()).toMatchObject({ messages: 2, entries: 2, held: 1, deferred: 0, lanes: 2 })
  expect(await store.nextDue()).toBe(6)
})
