/** Mail that is compressed and encrypted at rest: readable with its keys, and by nobody and nothing else. */
import { createHash } from 'node:crypto'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { storeConformance } from '@mailwright/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type Database, openDatabase } from './database.ts'
import type { Encryption } from './keyring.ts'
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
  spoolDirectory,
} from './testing-support/spool-directory.ts'

const ONE = { id: 'one', key: Buffer.alloc(32, 1) }
const TWO = { id: 'two', key: Buffer.alloc(32, 2) }
const WORDS = 'nobody else’s business. '
const SMALL = Buffer.from(WORDS.repeat(100))
const LARGE = Buffer.from(WORDS.repeat(40_000))

storeConformance({
  name: 'lmdbStore that packs and seals everything',
  histories: 15,
  create: async () => {
    const directory = await spoolDirectory()
    const packed = { compression: 'zstd', compressAbove: 1, inlineLimit: 40 } as const
    const open = (): LmdbStore => lmdbStore({ directory, minFree: 0, ...packed, encryption: { keys: [ONE] } })
    return { store: open(), reopen: async () => open(), dispose: async () => {} }
  },
})

type Opened = LmdbStore & Pick<EventLog, 'log'>

async function opened(directory: string, options: Partial<LmdbStoreOptions> = {}): Promise<Opened> {
  const store = lmdbStore({ directory, minFree: 0, ...options })
  const events = eventLog()
  await store.open(events)
  onTestFinished(() => store.close())
  return Object.assign(store, { log: events.log })
}

const sealed = (...keys: Encryption['keys']): Partial<LmdbStoreOptions> => ({ encryption: { keys } })

async function filled(options: Partial<LmdbStoreOptions>): Promise<string> {
  const directory = await spoolDirectory()
  const store = await opened(directory, options)
  await store.put(message('a1'), letter(SMALL), undefined, CALL)
  await store.put(message('b1'), letter(LARGE), undefined, CALL)
  await store.close()
  return directory
}

async function bodyFile(directory: string): Promise<string> {
  const items = await readdir(join(directory, 'bodies'), { recursive: true, withFileTypes: true })
  const [file] = items.filter((item) => item.isFile())
  return join(file!.parentPath, file!.name)
}

/** Everything in the spool's files. */
async function everything(directory: string): Promise<Buffer> {
  return Buffer.concat([
    await readFile(join(directory, 'queue', 'data.mdb')),
    await readFile(await bodyFile(directory)),
  ])
}

async function change(directory: string, work: (db: Database) => Promise<unknown>): Promise<void> {
  const db = openDatabase(directory, 2 ** 24)
  await work(db)
  await db.root.close()
}

async function expectWhole(store: LmdbStore): Promise<void> {
  expect((await contentOf((await store.read('a1'))!)).subarray(17).equals(SMALL)).toBe(true)
  expect((await contentOf((await store.read('b1'))!)).subarray(17).equals(LARGE)).toBe(true)
}

describe('mail encrypted at rest', () => {
  it('is read with its key, and nothing of it, its sender and its recipients is to be seen', async () => {
    const plain = await everything(await filled({}))
    for (const word of [WORDS, 'Subject: test', 'example.org', '"ann"']) expect(plain.includes(word), word).toBe(true)
    const directory = await filled(sealed(ONE))
    const bytes = await everything(directory)
    for (const word of [WORDS, 'Subject: test', '"ann"', '"example.org"']) expect(bytes.includes(word)).toBe(false)
    // The lane is a key, and stays plain.
    expect(bytes.includes(LANE)).toBe(true)
    await expectWhole(await opened(directory, sealed(ONE)))
  })

  it('is not opened without its key, nor with another, and says which is missing', async () => {
    const directory = await filled(sealed(ONE))
    const without = { code: 'ERR_MAILWRIGHT_CONFIG', message: expect.stringContaining('key one, which is not given') }
    await expect(opened(directory)).rejects.toMatchObject(without)
    await expect(opened(directory, sealed(TWO))).rejects.toMatchObject(without)
    await expect(opened(directory, { ...sealed(TWO), access: 'operator' })).rejects.toMatchObject(without)
    const wrong = sealed({ id: 'one', key: TWO.key })
    await expect(opened(directory, wrong)).rejects.toMatchObject({
      code: 'ERR_MAILWRIGHT_CONFIG',
      message: 'the key one is not the one the spool was written with',
    })
    await expectWhole(await opened(directory, sealed(ONE)))
  })

  it('stays readable after a new key came, and is sealed with that as it is rewritten', async () => {
    const directory = await filled(sealed(ONE))
    const store = await opened(directory, sealed(TWO, ONE))
    await expectWhole(store)
    for (const claim of await store.claim({ lane: LANE, now: 0, limit: 9, leaseMs: 1_000 }))
      await store.settle(claim, deferred(claim, 5))
    await store.put(message('c1'), letter('new'), undefined, CALL)
    await store.close()
    await change(directory, async (db) => {
      const keyOf = (value: Uint8Array | undefined): string => Buffer.from(value!).toString('latin1', 5, 8)
      expect(keyOf(db.entries.get(['a1', 0]))).toBe('two')
      expect(keyOf(db.messages.get('a1'))).toBe('one')
      expect(keyOf(db.messages.get('c1'))).toBe('two')
    })
    await expect(opened(directory, sealed(TWO))).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_CONFIG' })
    await expectWhole(await opened(directory, sealed(TWO, ONE)))
  })

  it('needs no old key once the queue is empty', async () => {
    const directory = await filled(sealed(ONE))
    const store = await opened(directory, sealed(ONE))
    await store.remove({})
    await store.close()
    await (await opened(directory, sealed(TWO))).close()
    await expect(opened(directory, sealed(TWO))).resolves.toBeDefined()
  })

  it('may lie beside mail that was there before', async () => {
    const directory = await filled({})
    const store = await opened(directory, { ...sealed(ONE), compression: 'deflate', compressAbove: 1 })
    await expectWhole(store)
    await store.put(message('c1'), letter(LARGE), undefined, CALL)
    expect((await contentOf((await store.read('c1'))!)).subarray(17).equals(LARGE)).toBe(true)
  })

  it('is set aside where a record was moved, or changed by as much as a bit', async () => {
    const directory = await filled(sealed(ONE))
    await change(directory, async (db) => {
      const record = Buffer.from(db.messages.get('a1')!)
      record[record.length >> 1]! ^= 1
      await db.messages.put('a1', record)
      await db.entries.put(['b1', 0], Buffer.from(db.entries.get(['a1', 0])!), 1)
    })
    const reader = await opened(directory, sealed(ONE))
    expect(await reader.claim({ lane: LANE, now: 0, limit: 9, leaseMs: 1_000 })).toEqual([])
    const problem = 'the record cannot be opened'
    expect(reader.log).toContainEqual({ type: 'store.corrupt', message: 'a1', problem })
    expect(reader.log).toContainEqual({ type: 'store.corrupt', message: 'b1', problem })
  })

  it('is told off for keys that cannot work', () => {
    const short = { id: 'short', key: Buffer.alloc(16) }
    const unnamed = { id: '', key: ONE.key }
    for (const keys of [[], [short], [unnamed], [ONE, ONE]])
      expect(() => lmdbStore({ directory: 'x', encryption: { keys } })).toThrow(
        expect.objectContaining({ code: 'ERR_MAILWRIGHT_CONFIG' }),
      )
  })
})

describe.each([
  ['as it is', {}],
  ['encrypted', sealed(ONE)],
  ['compressed', { compression: 'zstd' }],
  ['compressed and encrypted', { compression: 'deflate', ...sealed(ONE) }],
] as const)('a large body that is stored %s', (_, options) => {
  /** Spoils the file, and reads the message. */
  async function spoiled(spoil: (bytes: Buffer) => Buffer): Promise<Opened> {
    const directory = await filled(options)
    const file = await bodyFile(directory)
    await writeFile(file, spoil(await readFile(file)))
    return opened(directory, options)
  }

  const SPOILT: readonly (readonly [string, (bytes: Buffer) => Buffer])[] = [
    ['cut off', (bytes) => bytes.subarray(0, bytes.length - 1)],
    ['cut off early', (bytes) => bytes.subarray(0, 3)],
    ['empty', () => Buffer.alloc(0)],
    ['longer', (bytes) => Buffer.concat([bytes, Buffer.from('x')])],
    [
      'changed in the middle',
      (bytes) => Buffer.from(bytes.map((byte, at) => (at === bytes.length >> 1 ? byte ^ 1 : byte))),
    ],
    [
      'changed at its end',
      (bytes) => Buffer.from(bytes.map((byte, at) => (at === bytes.length - 1 ? byte ^ 1 : byte))),
    ],
    ['changed at its beginning', (bytes) => Buffer.from(bytes.map((byte, at) => (at === 0 ? byte ^ 1 : byte)))],
  ]
  it.each(SPOILT)('is not taken for whole when it is %s', async (_, spoil) => {
    const store = await spoiled(spoil)
    const [claim] = await store.claim({ lane: LANE, now: 0, limit: 9, leaseMs: 1_000 }).then((all) => all.slice(1))
    await expect(contentOf(claim!.message)).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_STORE' })
    await expect(contentOf(claim!.message)).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_STORE' })
    const reported = store.log.filter((event) => event.type === 'store.corrupt')
    expect(reported).toEqual([{ type: 'store.corrupt', message: 'b1', problem: expect.any(String) }])
    // The message stays, and its sender hears of it in the end.
    await store.settle(claim!, deferred(claim!, 9))
    expect(await store.entries({ limit: 9 })).toHaveLength(2)
  })

  it('is not taken for that of another message', async () => {
    const directory = await spoolDirectory()
    const store = await opened(directory, options)
    const bodies = [Buffer.alloc(300_000, 97), Buffer.alloc(300_000, 98)]
    for (const [index, body] of bodies.entries()) await store.put(message(`a${index}`), letter(body), undefined, CALL)
    await store.close()
    const items = await readdir(join(directory, 'bodies'), { recursive: true, withFileTypes: true })
    const [one, other] = items.filter((item) => item.isFile()).map((item) => join(item.parentPath, item.name))
    const swap = [await readFile(one!), await readFile(other!)]
    await writeFile(one!, swap[1]!)
    await writeFile(other!, swap[0]!)
    const again = await opened(directory, options)
    for (const id of ['a0', 'a1'])
      await expect(contentOf((await again.read(id))!)).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_STORE' })
  })

  it('is whole when it came in pieces of any size, and can be read before it belongs to a message', async () => {
    const store = await opened(await spoolDirectory(), options)
    const spool = store.spool()
    for (let at = 0; at < LARGE.length; ) {
      const end = at + 1 + ((at * 7_919) % 100_000)
      await spool.write(LARGE.subarray(at, end))
      at = end
    }
    const spooled = await spool.finish()
    const source = { ...letter(LARGE), buffered: undefined, spooled, body: () => spooled.read(CALL) }
    expect((await contentOf(source)).subarray(17).equals(LARGE)).toBe(true)
    await store.put(message('a1'), source, undefined, CALL)
    expect((await contentOf((await store.read('a1'))!)).subarray(17).equals(LARGE)).toBe(true)
  })
})

describe('mail that is compressed', () => {
  it('takes less room, small or large, and is counted as large as it is', async () => {
    const directory = await filled({ compression: 'zstd', compressAbove: 1_000 })
    expect((await everything(directory)).includes(WORDS.repeat(2))).toBe(false)
    expect((await readFile(await bodyFile(directory))).length).toBeLessThan(LARGE.length / 10)
    const store = await opened(directory)
    await expectWhole(store)
    expect(await store.stats()).toMatchObject({ bytes: 2 * 17 + SMALL.length + LARGE.length })
  })

  it('is stored as it is where that saves nothing, or where it is small', async () => {
    const directory = await spoolDirectory()
    const store = await opened(directory, { compression: 'zstd', compressAbove: 1_000 })
    const noise = Buffer.concat(Array.from({ length: 50 }, (_, at) => createHash('sha512').update(`${at}`).digest()))
    await store.put(message('a1'), letter('x'.repeat(500)), undefined, CALL)
    await store.put(message('a2'), letter(noise), undefined, CALL)
    await store.close()
    const bytes = await readFile(join(directory, 'queue', 'data.mdb'))
    expect(bytes.includes('x'.repeat(500))).toBe(true)
    expect(bytes.includes(noise)).toBe(true)
  })
})
