import { readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Claim, QueueStore } from '@mailwright/core'
import { storeConformance } from '@mailwright/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openDatabase } from './database.ts'
import { type LmdbStore, lmdbStore } from './lmdb-store.ts'
import type { LmdbStoreOptions } from './options.ts'
import {
  CALL,
  contentOf,
  deferred,
  type EventLog,
  eventLog,
  LANE,
  letter,
  message,
  relayed,
  spoolDirectory,
} from './testing-support/spool-directory.ts'

storeConformance({
  name: 'lmdbStore',
  create: async () => {
    const directory = await spoolDirectory()
    const open = (): LmdbStore => lmdbStore({ directory, minFree: 0 })
    return { store: open(), reopen: async () => open(), dispose: async () => {} }
  },
})

interface Opened {
  readonly store: LmdbStore
  readonly directory: string
  readonly events: EventLog
}

async function opened(options: Partial<LmdbStoreOptions> = {}): Promise<Opened> {
  const directory = options.directory ?? (await spoolDirectory())
  const store = lmdbStore({ minFree: 0, ...options, directory })
  const events = eventLog()
  await store.open(events)
  onTestFinished(() => store.close())
  return { store, directory, events }
}

async function claimAll(store: QueueStore, lane: string = LANE, now = 0): Promise<readonly Claim[]> {
  return store.claim({ lane, now, limit: 1_000, leaseMs: 1_000 })
}

async function bodyFiles(directory: string): Promise<readonly string[]> {
  const items = await readdir(join(directory, 'bodies'), { recursive: true, withFileTypes: true })
  return items.filter((item) => item.isFile()).map((item) => join(item.parentPath, item.name))
}

const LARGE = Buffer.alloc(200_000, 97)

describe('lanes of an LMDB store', () => {
  it('are never lost when mail comes to them while their stale heads are corrected', async () => {
    const { store } = await opened()
    const lanes = Array.from({ length: 40 }, (_, index) => `smtp:${index}`)
    for (let round = 0; round < 10; round++) {
      await Promise.all(
        lanes.map((lane) => store.put(message(`m${round}-${lane.slice(5)}`, lane, round), letter(), undefined, CALL)),
      )
      const due = await store.lanes({ now: round, limit: 100 })
      expect(due.map((each) => each.lane).sort()).toEqual([...lanes].sort())
      const claims = (await Promise.all(lanes.map((lane) => claimAll(store, lane, round)))).flat()
      expect(claims).toHaveLength(40)
      await Promise.all(claims.map((claim) => store.settle(claim, relayed(claim))))
      // All 40 heads are wrong now. Asking has them corrected, while mail comes that relies on them.
      const late = lanes.map((lane) => message(`n${round}-${lane.slice(5)}`, lane, round))
      const asked = store.nextDue()
      await Promise.all(late.map((each) => store.put(each, letter(), undefined, CALL)))
      expect(await asked).toBeUndefined()
      expect(await store.nextDue()).toBe(round)
      expect(await store.lanes({ now: round, limit: 100 })).toHaveLength(40)
      await store.remove({})
      expect(await store.nextDue()).toBeUndefined()
    }
  })

  it('are found again after opening, also those whose heads were never corrected', async () => {
    const { store, directory } = await opened()
    for (let index = 0; index < 5; index++)
      await store.put(message(`a${index}`, LANE, index), letter(), undefined, CALL)
    for (const claim of (await claimAll(store, LANE, 3)).slice(0, 2)) await store.settle(claim, relayed(claim))
    await store.close()
    const again = await opened({ directory })
    expect(await again.store.nextDue()).toBe(2)
    expect(await again.store.lanes({ now: 2, limit: 10 })).toEqual([{ lane: LANE, dueAt: 2 }])
  })

  it('cost nothing while they are excluded, however many wait in them', async () => {
    const { store, directory } = await opened()
    await Promise.all(
      Array.from({ length: 500 }, (_, index) =>
        store.put(message(`a${index}`, 'dead', index), letter(), undefined, CALL),
      ),
    )
    await store.put(message('b', 'alive', 1_000), letter(), undefined, CALL)
    expect(await store.lanes({ now: 1_000, limit: 1, exclude: new Set(['dead']) })).toEqual([
      { lane: 'alive', dueAt: 1_000 },
    ])
    for (let index = 500; index < 600; index++)
      await store.put(message(`a${index}`, 'dead', index), letter(), undefined, CALL)
    await store.close()
    const db = openDatabase(directory, 2 ** 24)
    onTestFinished(() => db.root.close())
    // Those put at once could not know of each other's head; all that came later did.
    expect(db.heads.getKeysCount({ start: [500, ''], end: [900, ''] })).toBe(0)
  })
})

describe('a spool that a crash left', () => {
  it('loses the files that belong to no message, and says how many', async () => {
    const { store, directory } = await opened()
    await store.put(message('kept'), letter(LARGE), undefined, CALL)
    await store.close()
    const [kept] = await bodyFiles(directory)
    await writeFile(join(directory, 'bodies', 'tmp-~999999.1~1'), 'half a body')
    await writeFile(kept!.replace('kept~', 'gone~'), 'a body whose message was never committed')
    await writeFile(kept!.replace(/~[\d-]+$/, '~9-9999'), 'a second body of a message put twice')
    const again = await opened({ directory })
    expect(again.events.log).toContainEqual({ type: 'store.recovered', messages: 1, strays: 3, corrupt: 0 })
    expect(await bodyFiles(directory)).toEqual([kept])
    expect((await contentOf((await again.store.read('kept'))!)).length).toBe(LARGE.length + 17)
  })

  it('keeps the files of a process that still runs', async () => {
    const { store, directory } = await opened()
    await store.close()
    // Process 1 is always there; without a start time its number is all that counts.
    await writeFile(join(directory, 'bodies', 'tmp-~1~1'), 'an operator is writing')
    await opened({ directory })
    expect(await bodyFiles(directory)).toHaveLength(1)
  })

  it('is not opened when it was written in another format', async () => {
    const { store, directory } = await opened()
    await store.close()
    const db = openDatabase(directory, 2 ** 24)
    await db.counters.put('format', Buffer.from(new Float64Array([99]).buffer))
    await db.root.close()
    await expect(lmdbStore({ directory }).open(eventLog())).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_STORE' })
    await expect(lmdbStore({ directory }).open(eventLog())).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_STORE' })
  })
})

describe('records that cannot be read', () => {
  async function broken(breakIt: (db: ReturnType<typeof openDatabase>) => Promise<unknown>): Promise<Opened> {
    const { store, directory } = await opened()
    for (const id of ['a1', 'a2', 'a3']) await store.put(message(id), letter(), undefined, CALL)
    await store.close()
    const db = openDatabase(directory, 2 ** 24)
    await breakIt(db)
    await db.root.close()
    return opened({ directory })
  }

  const CASES: readonly (readonly [string, (db: ReturnType<typeof openDatabase>) => Promise<unknown>])[] = [
    ['an entry that is no JSON', (db) => db.entries.put(['a2', 0], Buffer.from('{"lane":'), 1)],
    ['an entry that is something else', (db) => db.entries.put(['a2', 0], Buffer.from('{"lane":7}'), 1)],
    ['a message that is truncated', (db) => db.messages.put('a2', Buffer.from(db.messages.get('a2')!.subarray(0, 30)))],
    ['a message of nothing', (db) => db.messages.put('a2', Buffer.from('a'))],
    ['a message that is missing', (db) => db.messages.remove('a2')],
  ]
  for (const [title, breakIt] of CASES)
    it(`are set aside, and the others go on: ${title}`, async () => {
      const { store, directory, events } = await broken(breakIt)
      const claims = await claimAll(store)
      expect(claims.map((claim) => claim.entry.message)).toEqual(['a1', 'a3'])
      expect(events.log).toContainEqual({ type: 'store.corrupt', message: 'a2', problem: expect.any(String) })
      for (const claim of claims) await store.settle(claim, relayed(claim))
      expect(await store.entries({ limit: 10 })).toEqual([])
      await store.close()
      const again = await opened({ directory })
      const recovered = again.events.log.find((event) => event.type === 'store.recovered')
      expect(recovered).toMatchObject({ messages: 0, corrupt: expect.any(Number) })
      expect(recovered!.corrupt).toBeGreaterThan(0)
      expect(await again.store.stats()).toMatchObject({ messages: 0, entries: 0, bytes: 0, lanes: 0 })
      expect(await again.store.nextDue()).toBeUndefined()
    })

  it('are passed over by a listing and by operators', async () => {
    const { store, events } = await broken((db) => db.entries.put(['a2', 0], Buffer.from('[]'), 1))
    expect((await store.entries({ limit: 10 })).map((entry) => entry.message)).toEqual(['a1', 'a3'])
    expect(await store.reschedule({}, 5)).toBe(2)
    expect(events.log.filter((event) => event.type === 'store.corrupt')).toHaveLength(1)
    expect(await claimAll(store, LANE, 5)).toHaveLength(2)
    expect(await store.lanes({ now: 5, limit: 10 })).toEqual([])
  })

  it('leave the other recipients of their message alone', async () => {
    const { store, directory } = await opened()
    const [first] = message('a1', 'smtp:a').entries
    const entries = [first!, { ...first!, lane: 'smtp:b' }]
    await store.put({ ...message('a1'), entries }, letter(), undefined, CALL)
    await store.close()
    await write(directory, (db) => db.entries.put(['a1', 1], Buffer.from('{'), 1))
    const again = await opened({ directory })
    expect(await claimAll(again.store, 'smtp:b')).toEqual([])
    const [claim] = await claimAll(again.store, 'smtp:a')
    await again.store.settle(claim!, relayed(claim!))
    expect(await again.store.stats()).toMatchObject({ messages: 0, entries: 0, bytes: 0, lanes: 0 })
  })

  it('take along what is left of their message, whatever of it can be read', async () => {
    const { store, directory } = await opened()
    const [first] = message('a1').entries
    await store.put({ ...message('a1'), entries: [first!, first!] }, letter(), undefined, CALL)
    for (const id of ['a2', 'a3']) await store.put(message(id), letter(), undefined, CALL)
    await store.close()
    await write(directory, async (db) => {
      await db.entries.put(['a1', 1], Buffer.from('{'), 1)
      await db.messages.put('a1', Buffer.from('????'))
      await db.entries.put(['a2', 0], Buffer.from('{'), 1)
      await db.messages.put('a2', Buffer.alloc(letter().size))
      await db.entries.put(['a3', 0], Buffer.from('{'), 1)
      await db.messages.remove('a3')
    })
    const again = await opened({ directory })
    expect(await claimAll(again.store)).toEqual([])
    await again.store.close()
    const { store: last, events } = await opened({ directory })
    expect(events.log).toContainEqual({ type: 'store.recovered', messages: 0, strays: 0, corrupt: 6 })
    // Of a3 nothing told how large it was; the opening counted anew.
    expect(await last.stats()).toMatchObject({ messages: 0, entries: 0, bytes: 0 })
  })

  it('keep their body’s file until somebody has looked', async () => {
    const { store, directory } = await opened()
    await store.put(message('a1'), letter(LARGE), undefined, CALL)
    await store.close()
    await write(directory, (db) => db.messages.put('a1', Buffer.from('????')))
    const again = await opened({ directory })
    expect(again.events.log).toContainEqual(expect.objectContaining({ type: 'store.recovered', strays: 0 }))
    expect(await bodyFiles(directory)).toHaveLength(1)
  })

  it('are not read as messages', async () => {
    const { store } = await broken((db) => db.messages.put('a2', Buffer.from('????')))
    expect(await store.read('a2')).toBeUndefined()
    expect(await store.read('a1')).toBeDefined()
  })

  it('may be a body whose file is missing: reading fails, the message stays', async () => {
    const { store, directory } = await opened()
    await store.put(message('a1'), letter(LARGE), undefined, CALL)
    for (const file of await bodyFiles(directory)) await rm(file)
    const [claim] = await claimAll(store)
    await expect(contentOf(claim!.message)).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_STORE' })
    await store.settle(claim!, deferred(claim!, 5))
    expect(await store.nextDue()).toBe(5)
  })
})

/** Changes the database of a spool that nobody has open. */
async function write(directory: string, change: (db: ReturnType<typeof openDatabase>) => Promise<unknown>) {
  const db = openDatabase(directory, 2 ** 24)
  await change(db)
  await db.root.close()
}

describe('large bodies', () => {
  it('leave with their message, however it goes', async () => {
    const { store, directory } = await opened()
    for (const id of ['a1', 'a2', 'a3']) await store.put(message(id), letter(LARGE), undefined, CALL)
    expect(await bodyFiles(directory)).toHaveLength(3)
    const [first, second] = await claimAll(store)
    await store.settle(first!, relayed(first!))
    await store.settle(second!, deferred(second!, 9))
    expect(await bodyFiles(directory)).toHaveLength(2)
    await store.remove({})
    expect(await bodyFiles(directory)).toEqual([])
  })

  it('leave no file behind when their message was known, aborted, discarded or failed', async () => {
    const { store, directory } = await opened()
    await store.put(message('a1'), letter(LARGE), undefined, CALL)
    await store.put(message('a1'), letter(LARGE), undefined, CALL)
    const spool = store.spool()
    for (let index = 0; index < 10; index++) await spool.write(LARGE)
    await spool.abort()
    const failing = { ...letter(), size: 1_000_000, buffered: undefined, body: failingBody }
    await expect(store.put(message('a2'), failing, undefined, CALL)).rejects.toThrow('connection lost')
    expect(await bodyFiles(directory)).toHaveLength(1)
  })

  it('can become part of two messages put at the same moment', async () => {
    const { store } = await opened()
    const spool = store.spool()
    await spool.write(LARGE)
    const spooled = await spool.finish()
    const source = { ...letter(LARGE), buffered: undefined, spooled, body: () => spooled.read(CALL) }
    await Promise.all(['a1', 'a2', 'a3'].map((id) => store.put(message(id), source, undefined, CALL)))
    await spooled.discard()
    for (const claim of await claimAll(store)) {
      expect((await contentOf(claim.message)).length).toBe(source.size)
      await store.settle(claim, relayed(claim))
    }
  })

  it('stay until the last of several destinations is done with them', async () => {
    const { store, directory } = await opened()
    const [first] = message('a1').entries
    const entries = [first!, { ...first!, lane: 'smtp:b' }]
    await store.put({ ...message('a1'), entries }, letter(LARGE), undefined, CALL)
    const claims = [...(await claimAll(store)), ...(await claimAll(store, 'smtp:b'))]
    expect(await store.settle(claims[0]!, relayed(claims[0]!))).toBe('waiting')
    expect(await bodyFiles(directory)).toHaveLength(1)
    expect(await store.settle(claims[1]!, relayed(claims[1]!))).toBe('nothing')
    expect(await bodyFiles(directory)).toEqual([])
  })

  it('from another store are copied', async () => {
    const other = await opened()
    const { store } = await opened()
    const spool = other.store.spool()
    await spool.write(LARGE)
    const spooled = await spool.finish()
    const source = { ...letter(LARGE), buffered: undefined, spooled, body: () => spooled.read(CALL) }
    await store.put(message('a1'), source, undefined, CALL)
    await spooled.discard()
    expect((await contentOf((await store.read('a1'))!)).length).toBe(source.size)
    expect(await bodyFiles(other.directory)).toEqual([])
  })
})

async function* failingBody(): AsyncGenerator<Uint8Array> {
  yield LARGE
  throw new Error('connection lost')
}

describe('an LMDB store', () => {
  it('refuses new mail while free space is below the minimum, and says so', async () => {
    const { store, events } = await opened({ minFree: Number.MAX_SAFE_INTEGER })
    expect(store.refusing()).toMatchObject({ code: 452, enhanced: '4.3.1' })
    expect(events.log).toContainEqual({ type: 'store.refusing', reply: store.refusing() })
    // What is on its way is still taken: notices have nowhere else to go.
    await store.put(message('a1'), letter(), undefined, CALL)
    expect(await store.entries({ limit: 1 })).toHaveLength(1)
  })

  it('refuses ids and lanes that are no keys, and stores nothing of them', async () => {
    const { store } = await opened()
    const wrong = [
      message('../etc/passwd'),
      message(''),
      message('a1', 'a\0b'),
      message('a1', 'x'.repeat(2_000)),
      message('a1', '\ud800'),
      message('a1', LANE, Number.NaN),
      { ...message('a1'), entries: [] },
    ]
    for (const each of wrong)
      await expect(store.put(each, letter(), undefined, CALL)).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_CONFIG' })
    expect(await store.stats()).toMatchObject({ messages: 0, entries: 0, bytes: 0 })
  })

  it('takes lanes as long as refusals are', async () => {
    const { store } = await opened()
    const lane = `error:550 5.1.1 <${'ü'.repeat(300)}@example.org>: no such user`
    await store.put(message('a1', lane), letter(), undefined, CALL)
    expect(await store.lanes({ now: 0, limit: 1 })).toEqual([{ lane, dueAt: 0 }])
    expect(await claimAll(store, lane)).toHaveLength(1)
  })

  it('gives a body that came in pieces to the first attempt, and nothing once that is called off', async () => {
    const { store } = await opened()
    const claim = { lanes: new Set([LANE]), now: 0, leaseMs: 1_000 }
    for (const [id, text] of [
      ['a1', 'Hello'],
      ['a2', ''],
    ] as const) {
      const source = { ...letter(text), buffered: undefined }
      const [claimed] = await store.put(message(id), source, claim, CALL)
      expect((await contentOf(claimed!.message)).toString()).toBe(`Subject: test\r\n\r\n${text}`)
      const body = claimed!.message.body({ signal: AbortSignal.abort(new Error('called off')) })
      await expect(body[Symbol.asyncIterator]().next()).rejects.toThrow('called off')
    }
  })

  it('takes no body that is larger than its sender said', async () => {
    const { store } = await opened()
    const source = { ...letter(LARGE), size: 100, buffered: undefined }
    await expect(store.put(message('a1'), source, undefined, CALL)).rejects.toMatchObject({
      code: 'ERR_MAILWRIGHT_STORE',
    })
    expect(await store.stats()).toMatchObject({ messages: 0, bytes: 0 })
  })

  it('lists the chosen messages page by page, from where the last page ended', async () => {
    const { store } = await opened()
    const [first] = message('a2').entries
    await store.put(message('a1'), letter(), undefined, CALL)
    await store.put({ ...message('a2'), entries: [first!, first!] }, letter(), undefined, CALL)
    await store.put(message('a3'), letter(), undefined, CALL)
    const selection = { messages: ['a3', 'a2', 'a1'] }
    const list = async (after?: { message: string; entry: number }): Promise<string[]> =>
      (await store.entries({ selection, limit: 9, after })).map((each) => `${each.message}/${each.entry}`)
    expect(await list()).toEqual(['a1/0', 'a2/0', 'a2/1', 'a3/0'])
    expect(await list({ message: 'a1', entry: 0 })).toEqual(['a2/0', 'a2/1', 'a3/0'])
    expect(await list({ message: 'a2', entry: 0 })).toEqual(['a2/1', 'a3/0'])
    expect(await list({ message: 'a3', entry: 0 })).toEqual([])
  })

  it('counts lanes however many there are', async () => {
    const { store } = await opened()
    await Promise.all(
      Array.from({ length: 501 }, (_, lane) =>
        store.put(message(`m${lane}`, `smtp:${lane}`), letter(), undefined, CALL),
      ),
    )
    expect(await store.stats()).toMatchObject({ lanes: 501, messages: 501 })
  })

  it('serves a first attempt from memory, within its bounds', async () => {
    for (const cacheBytes of [0, 1_000, 10_000_000]) {
      const { store } = await opened({ cacheBytes })
      for (let index = 0; index < 20; index++)
        await store.put(message(`m${index}`), letter(`body ${index}`), undefined, CALL)
      for (const claim of await claimAll(store))
        expect((await contentOf(claim.message)).toString()).toContain(`body ${claim.entry.message.slice(1)}`)
    }
  })

  it('keeps its promises when the limit for small bodies is 0', async () => {
    const { store, directory } = await opened({ inlineLimit: 0 })
    await store.put(message('a1'), letter('x'), undefined, CALL)
    await store.put(message('a2'), letter(''), undefined, CALL)
    expect(await bodyFiles(directory)).toHaveLength(1)
    expect((await contentOf((await store.read('a1'))!)).toString()).toContain('x')
  })

  it('waits for what is under way when it is closed', async () => {
    const { store, directory } = await opened()
    const puts = Array.from({ length: 20 }, (_, index) =>
      store.put(message(`m${index + 10}`), letter(index % 2 ? LARGE : 'small'), undefined, CALL),
    )
    expect(store.busy()).toBe(true)
    await store.close()
    await Promise.all(puts)
    const again = await opened({ directory })
    expect(await again.store.entries({ limit: 100 })).toHaveLength(20)
    expect(again.store.busy()).toBe(false)
  })

  it('takes mail while very much is being removed', { timeout: 30_000 }, async () => {
    const { store } = await opened()
    const ids = Array.from({ length: 3_000 }, (_, index) => `m${String(index).padStart(5, '0')}`)
    await Promise.all(ids.map((id) => store.put(message(id), letter(), undefined, CALL)))
    let isRemoved = false
    const removing = store.remove({ lane: LANE }).then((count) => {
      isRemoved = true
      return count
    })
    let taken = 0
    for (; !isRemoved; taken++) await store.put(message(`n${taken}`, 'smtp:b'), letter(), undefined, CALL)
    expect(await removing).toBe(3_000)
    expect(taken).toBeGreaterThan(3)
    expect(await store.stats()).toMatchObject({ messages: taken, entries: taken, lanes: 1 })
  })

  it('is told off for options that cannot work', () => {
    expect(() => lmdbStore({ directory: '' })).toThrow(expect.objectContaining({ code: 'ERR_MAILWRIGHT_CONFIG' }))
    expect(() => lmdbStore({ directory: 'x', compression: 'brotli' as never })).toThrow(
      expect.objectContaining({ code: 'ERR_MAILWRIGHT_CONFIG' }),
    )
    expect(() => lmdbStore({ directory: 'x', inlineLimit: -1 })).toThrow(
      expect.objectContaining({ code: 'ERR_MAILWRIGHT_CONFIG' }),
    )
  })
})
