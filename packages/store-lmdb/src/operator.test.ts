/** An operator at a spool that nobody owns: what it does lies there for the next owner. */
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type LmdbStore, lmdbStore } from './lmdb-store.ts'
import { hasOwner, takeOwnerLock } from './owner-lock.ts'
import {
  CALL,
  contentOf,
  type EventLog,
  eventLog,
  LANE,
  letter,
  message,
  spoolDirectory,
} from './testing-support/spool-directory.ts'
import { spoolProcess } from './testing-support/spool-process.ts'

const CONFIG = { code: 'ERR_MAILWRIGHT_CONFIG' }
const LARGE = Buffer.alloc(200_000, 97)

async function opened(directory: string, access: 'owner' | 'operator'): Promise<LmdbStore & { events: EventLog }> {
  const store = lmdbStore({ directory, access, minFree: 0 })
  const events = eventLog()
  await store.open(events)
  onTestFinished(() => store.close())
  return Object.assign(store, { events })
}

/** A spool with one message, `a1`, that is nobody's. */
async function unowned(): Promise<string> {
  const directory = await spoolDirectory()
  const owner = await opened(directory, 'owner')
  await owner.put(message('a1'), letter(), undefined, CALL)
  await owner.close()
  return directory
}

describe('an operator', () => {
  it('puts mail that the next owner delivers: small and large, and each once', async () => {
    const directory = await unowned()
    const operator = await opened(directory, 'operator')
    expect(await operator.put(message('b1', 'smtp:b'), letter(), undefined, CALL)).toEqual([])
    expect(await operator.put(message('b2', 'smtp:b'), letter(LARGE), undefined, CALL)).toEqual([])
    expect(await operator.put(message('b2', 'smtp:b'), letter(LARGE), undefined, CALL)).toEqual([])
    await operator.close()
    const owner = await opened(directory, 'owner')
    const recovered = { type: 'store.recovered', messages: 3, strays: 0, corrupt: 0 }
    expect(owner.events.log).toContainEqual(recovered)
    const claims = await owner.claim({ lane: 'smtp:b', now: 0, limit: 9, leaseMs: 1_000 })
    expect(claims.map(({ entry }) => entry.message)).toEqual(['b1', 'b2'])
    expect((await contentOf(claims[1]!.message)).length).toBe(LARGE.length + 17)
    expect(await owner.stats()).toMatchObject({ messages: 3, bytes: 2 * letter().size + LARGE.length + 17 })
  })

  it('claims nothing, neither what waits nor what it puts', async () => {
    const operator = await opened(await unowned(), 'operator')
    await expect(operator.claim({ lane: LANE, now: 0, limit: 1, leaseMs: 1 })).rejects.toMatchObject(CONFIG)
    const claim = { lanes: new Set([LANE]), now: 0, leaseMs: 1 }
    await expect(operator.put(message('b1'), letter(), claim, CALL)).rejects.toMatchObject(CONFIG)
    expect(await operator.entries({ limit: 9 })).toMatchObject([{ message: 'a1', claimed: false }])
  })

  it('needs no word of who the last owner was', async () => {
    const directory = await unowned()
    await rm(join(directory, 'owner'))
    expect(await (await opened(directory, 'operator')).hold({}, 'suspicious')).toBe(1)
  })

  it('is told when the owner could not be woken; the change stands', async () => {
    const directory = await unowned()
    await rm(join(directory, 'wake'))
    await mkdir(join(directory, 'wake'))
    const operator = await opened(directory, 'operator')
    expect(await operator.hold({}, 'suspicious')).toBe(1)
    await operator.close()
    expect(operator.events.log).toEqual([
      { type: 'failure', where: `the spool in ${directory}`, error: expect.objectContaining({ code: 'EISDIR' }) },
    ])
    await rm(join(directory, 'wake'), { recursive: true })
    expect(await (await opened(directory, 'owner')).stats()).toMatchObject({ held: 1 })
  })
})

describe('the owner of a spool', () => {
  it('is there although it is too busy to answer', { timeout: 30_000 }, async () => {
    const directory = await spoolDirectory()
    const owner = await spoolProcess(directory, 'owner')
    owner.process.kill('SIGSTOP')
    // More than the system keeps waiting at its door.
    const visitors: Socket[] = []
    onTestFinished(() => visitors.forEach((visitor) => void visitor.destroy()))
    const turnedAway = new Promise<NodeJS.ErrnoException>((resolve) => {
      for (let count = 0; count < 600; count++)
        visitors.push(connect(join(directory, 'owner.sock')).once('error', resolve))
    })
    expect(await turnedAway).toMatchObject({ code: 'EAGAIN' })
    expect(await hasOwner(directory)).toBe(true)
  })

  it('keeps its lock when the system has no handle left for a visitor', async () => {
    const directory = await spoolDirectory()
    let door: { emit(event: 'error', error: Error): boolean } | undefined
    const lock = await takeOwnerLock(directory, async (work) => {
      const server = await work()
      door = server
      return server
    })
    expect(door!.emit('error', Object.assign(new Error('accept EMFILE'), { code: 'EMFILE' }))).toBe(true)
    expect(await hasOwner(directory)).toBe(true)
    await lock.release()
  })

  it('cannot be asked for where the spool is a file: an error of storage', async () => {
    const file = join(await spoolDirectory(), 'file')
    await writeFile(file, '')
    await expect(lmdbStore({ directory: file }).open(eventLog())).rejects.toMatchObject({
      code: 'ERR_MAILWRIGHT_STORE',
    })
  })
})

describe('a spool whose bodies have no place', () => {
  it('is not opened, and nobody owns it', async () => {
    const directory = await unowned()
    await rm(join(directory, 'bodies'), { recursive: true })
    await writeFile(join(directory, 'bodies'), 'in the way')
    const store = lmdbStore({ directory, minFree: 0 })
    expect(store.busy()).toBe(false)
    await expect(store.open(eventLog())).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_STORE' })
    expect(await hasOwner(directory)).toBe(false)
    await rm(join(directory, 'bodies'))
    expect(await (await opened(directory, 'owner')).entries({ limit: 9 })).toHaveLength(1)
  })

  it('refuses a large body for now; a spooled one is still its owner’s, and a copied one is gone', async () => {
    const directory = await unowned()
    const store = await opened(directory, 'owner')
    const shelves = Array.from({ length: 64 }, (_, shelf) =>
      join(directory, 'bodies', shelf.toString(16).padStart(2, '0')),
    )
    for (const shelf of shelves) await writeFile(shelf, 'in the way')
    const writing = store.spool()
    await writing.write(LARGE)
    const spooled = await writing.finish()
    const source = { ...letter(LARGE), buffered: undefined, spooled, body: () => spooled.read(CALL) }
    const trouble = { code: 'ERR_MAILWRIGHT_STORE' }
    await expect(store.put(message('b1'), source, undefined, CALL)).rejects.toMatchObject(trouble)
    await expect(store.put(message('b2'), letter(LARGE), undefined, CALL)).rejects.toMatchObject(trouble)
    expect(await store.stats()).toMatchObject({ messages: 1, bytes: letter().size })
    for (const shelf of shelves) await rm(shelf)
    await store.put(message('b1'), source, undefined, CALL)
    await spooled.discard()
    expect((await contentOf((await store.read('b1'))!)).length).toBe(source.size)
    await store.close()
    expect((await opened(directory, 'owner')).events.log).toContainEqual(expect.objectContaining({ strays: 0 }))
  })
})
