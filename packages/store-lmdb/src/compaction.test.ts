import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { compactSpool } from './compaction.ts'
import { type LmdbStore, lmdbStore } from './lmdb-store.ts'
import {
  CALL,
  contentOf,
  eventLog,
  LANE,
  letter,
  message,
  relayed,
  spoolDirectory,
} from './testing-support/spool-directory.ts'
import { spoolProcess } from './testing-support/spool-process.ts'

async function opened(directory: string, access: 'owner' | 'operator' = 'owner'): Promise<LmdbStore> {
  const store = lmdbStore({ directory, access, minFree: 0 })
  await store.open(eventLog())
  onTestFinished(() => store.close())
  return store
}

const BODY = Buffer.alloc(8_000, 97)

/** Puts so many messages, and delivers all but the last. */
async function passThrough(store: LmdbStore, name: string, count: number): Promise<void> {
  const ids = Array.from({ length: count }, (_, index) => `${name}${String(index).padStart(5, '0')}`)
  for (let at = 0; at < count; at += 100)
    await Promise.all(ids.slice(at, at + 100).map((id) => store.put(message(id), letter(BODY), undefined, CALL)))
  const claims = await store.claim({ lane: LANE, now: 0, limit: count - 1, leaseMs: 1_000 })
  for (let at = 0; at < claims.length; at += 100)
    await Promise.all(claims.slice(at, at + 100).map((claim) => store.settle(claim, relayed(claim))))
}

const sizeOf = async (directory: string): Promise<number> => (await stat(join(directory, 'queue', 'data.mdb'))).size

describe('the database of a spool', () => {
  it('is used again by the next mail, not grown', { timeout: 30_000 }, async () => {
    const directory = await spoolDirectory()
    const store = await opened(directory)
    await passThrough(store, 'a', 1_000)
    const large = await sizeOf(directory)
    expect(large).toBeGreaterThan(8_000_000)
    for (const name of ['b', 'c', 'd']) await passThrough(store, name, 1_000)
    expect(await sizeOf(directory)).toBeLessThan(large * 1.2)
  })

  it('is as small as its mail after it was compacted, and all of it is there', async () => {
    const directory = await spoolDirectory()
    const store = await opened(directory)
    await passThrough(store, 'a', 500)
    const stats = await store.stats()
    await store.close()
    const { before, after } = await compactSpool(directory)
    expect([before, after]).toEqual([expect.any(Number), await sizeOf(directory)])
    expect(before).toBeGreaterThan(4_000_000)
    expect(after).toBeLessThan(200_000)
    expect((await stat(join(directory, 'queue', 'data.mdb'))).mode & 0o777).toBe(0o600)
    const again = await opened(directory)
    expect(await again.stats()).toEqual(stats)
    const [claim] = await again.claim({ lane: LANE, now: 0, limit: 9, leaseMs: 1_000 })
    expect((await contentOf(claim!.message)).subarray(17).equals(BODY)).toBe(true)
    await again.settle(claim!, relayed(claim!))
    await passThrough(again, 'b', 2)
  })

  it('is not compacted while anybody has it open', async () => {
    const directory = await spoolDirectory()
    const store = await opened(directory)
    await store.put(message('a1'), letter(), undefined, CALL)
    const busy = { code: 'ERR_MAILWRIGHT_STORE_BUSY' }
    await expect(compactSpool(directory)).rejects.toMatchObject(busy)
    await store.close()
    const operator = await spoolProcess(directory, 'operator')
    await operator.call('hold', {}, 'spam')
    await expect(compactSpool(directory)).rejects.toMatchObject(busy)
    await operator.kill()
    await compactSpool(directory)
    expect(await (await opened(directory)).stats()).toMatchObject({ messages: 1, held: 1 })
  })

  it('is not written to by an operator who had it open before: the change is refused', async () => {
    const directory = await spoolDirectory()
    await (await opened(directory)).close()
    const operator = await opened(directory, 'operator')
    await compactSpool(directory)
    const trouble = { code: 'ERR_MAILWRIGHT_STORE', message: expect.stringContaining('compacted') }
    await expect(operator.put(message('a1'), letter(), undefined, CALL)).rejects.toMatchObject(trouble)
    await expect(
      operator.suspend({ scope: { kind: 'everything' }, reason: 'operator', since: 0 }),
    ).rejects.toMatchObject(trouble)
  })

  it('that is not there is not compacted', async () => {
    const directory = await spoolDirectory()
    await expect(compactSpool(directory)).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_CONFIG' })
  })
})
