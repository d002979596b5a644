import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { INSTRUCTED_LANE } from '@mailwright/core'
import { describe, expect, it, onTestFinished } from 'vitest'
import { lmdbStore } from './lmdb-store.ts'
import { hasOwner, takeOwnerLock } from './owner-lock.ts'
import { isRunning, processMark } from './process-mark.ts'
import {
  CALL,
  contentOf,
  deferred,
  eventLog,
  LANE,
  letter,
  message,
  relayed,
  spoolDirectory,
} from './testing-support/spool-directory.ts'
import { spoolProcess } from './testing-support/spool-process.ts'

const BUSY = { code: 'ERR_MAILWRIGHT_STORE_BUSY' }

async function owner(directory: string) {
  const store = lmdbStore({ directory, minFree: 0 })
  await store.open(eventLog())
  onTestFinished(() => store.close())
  return store
}

describe('a spool', () => {
  it('has one owner in one process', async () => {
    const directory = await spoolDirectory()
    const first = await owner(directory)
    const second = lmdbStore({ directory })
    await expect(second.open(eventLog())).rejects.toMatchObject(BUSY)
    await expect(first.open(eventLog())).rejects.toMatchObject(BUSY)
    await first.close()
    await second.open(eventLog())
    await second.close()
  })

  it('has one owner among processes, and is free as soon as that is killed', async () => {
    const directory = await spoolDirectory()
    const other = await spoolProcess(directory, 'owner')
    await other.call('put', message('a1'), 'Hello')
    await expect(lmdbStore({ directory }).open(eventLog())).rejects.toMatchObject(BUSY)
    await other.kill()
    const store = await owner(directory)
    expect(await store.entries({ limit: 10 })).toHaveLength(1)
  })

  it('goes to one of several who ask at once for what a crash left', { timeout: 30_000 }, async () => {
    const directory = await spoolDirectory()
    await (await spoolProcess(directory, 'owner')).kill()
    const asked = await Promise.allSettled(Array.from({ length: 4 }, () => spoolProcess(directory, 'owner')))
    expect(asked.filter((each) => each.status === 'fulfilled')).toHaveLength(1)
    for (const each of asked) if (each.status === 'rejected') expect(each.reason).toMatchObject(BUSY)
  })

  it('is not given to a second who found it free and comes a moment late', async () => {
    const directory = await spoolDirectory()
    const lock = await takeOwnerLock(directory, (work) => work())
    await expect(takeOwnerLock(directory, (work) => work())).rejects.toMatchObject(BUSY)
    expect(await hasOwner(directory)).toBe(true)
    await lock.release()
    expect(await hasOwner(directory)).toBe(false)
    await (await takeOwnerLock(directory, (work) => work())).release()
  })

  it('may lie at the end of a long path', async () => {
    const directory = join(await spoolDirectory(), 'd'.repeat(90), 'e'.repeat(90))
    const store = await owner(directory)
    await expect(lmdbStore({ directory }).open(eventLog())).rejects.toMatchObject(BUSY)
    await store.close()
    await owner(directory)
  })

  it('that cannot be made is an error of storage', async () => {
    const file = join(await spoolDirectory(), 'file')
    await writeFile(file, '')
    await expect(lmdbStore({ directory: join(file, 'spool') }).open(eventLog())).rejects.toMatchObject({
      code: 'ERR_MAILWRIGHT_STORE',
    })
  })
})

describe('an operator', () => {
  it('changes a live spool from another process, and the owner is woken', { timeout: 30_000 }, async () => {
    const directory = await spoolDirectory()
    const store = await owner(directory)
    await store.put(message('a1', LANE, 1_000), letter(), undefined, CALL)
    expect(await store.nextDue()).toBe(1_000)
    const operator = await spoolProcess(directory, 'operator')
    const woken = (): Promise<void> => new Promise((resolve) => store.onArrival((by) => by === 'operator' && resolve()))

    let wake = woken()
    expect(await operator.call('reschedule', {}, 5)).toBe(1)
    await wake
    expect(await store.nextDue()).toBe(5)
    expect(await store.lanes({ now: 5, limit: 1 })).toEqual([{ lane: LANE, dueAt: 5 }])

    wake = woken()
    await operator.call('put', message('b1', 'smtp:new.example', 3), 'from the operator')
    await wake
    expect(await store.nextDue()).toBe(3)
    const [claim] = await store.claim({ lane: 'smtp:new.example', now: 3, limit: 1, leaseMs: 1_000 })
    expect((await contentOf(claim!.message)).toString()).toContain('from the operator')
    await store.settle(claim!, relayed(claim!))

    wake = woken()
    expect(await operator.call('hold', { messages: ['a1'] }, 'suspicious')).toBe(1)
    await wake
    expect(await store.nextDue()).toBeUndefined()
    expect(await operator.call('stats')).toMatchObject({ messages: 1, held: 1, bytes: letter().size })
    expect(await store.stats()).toMatchObject({ messages: 1, held: 1, bytes: letter().size })
    wake = woken()
    expect(await operator.call('release', {}, 7)).toBe(1)
    await wake
    expect(await store.nextDue()).toBe(7)
  })

  it('instructs and suspends from another process, and the owner hears of it', { timeout: 30_000 }, async () => {
    const directory = await spoolDirectory()
    const store = await owner(directory)
    for (const id of ['a1', 'a2']) await store.put(message(id, LANE, 1_000), letter(), undefined, CALL)
    const operator = await spoolProcess(directory, 'operator')
    const woken = (): Promise<void> => new Promise((resolve) => store.onArrival((by) => by === 'operator' && resolve()))

    let wake = woken()
    expect(await operator.call('instruct', { messages: ['a1'] }, { kind: 'requeue' }, 5)).toBe(1)
    await wake
    expect(await store.lanes({ now: 5, limit: 9 })).toEqual([{ lane: INSTRUCTED_LANE, dueAt: 5 }])
    const [claim] = await store.claim({ lane: INSTRUCTED_LANE, now: 5, limit: 9, leaseMs: 1_000 })
    await store.settle(claim!, relayed(claim!))

    wake = woken()
    const scope = { kind: 'lane', lane: LANE } as const
    await operator.call('suspend', { scope, reason: 'asked to', since: 7 })
    await wake
    expect(await store.suspensions()).toEqual([{ scope, reason: 'asked to', since: 7 }])
    wake = woken()
    expect(await operator.call('resume', scope)).toBe(true)
    await wake
    expect(await store.suspensions()).toEqual([])

    expect(await operator.call('remove', {})).toBe(1)
    const query = { now: 0, ages: [], limit: 9 }
    expect([await store.shape(query), await operator.call('shape', query)]).toEqual([[], []])
    expect(await store.stats()).toMatchObject({ messages: 0, entries: 0, lanes: 0, bytes: 0 })
  })

  it('removes a destination being served, and what is moved meanwhile may take its number', {
    timeout: 30_000,
  }, async () => {
    const directory = await spoolDirectory()
    const store = await owner(directory)
    const [entry] = message('a1').entries
    await store.put({ ...message('a1'), entries: [entry!, { ...entry!, lane: 'smtp:b' }] }, letter(), undefined, CALL)
    const [first] = await store.claim({ lane: LANE, now: 0, limit: 1, leaseMs: 1_000 })
    const [second] = await store.claim({ lane: 'smtp:b', now: 0, limit: 1, leaseMs: 1_000 })
    const operator = await spoolProcess(directory, 'operator')
    expect(await operator.call('remove', { lane: 'smtp:b' })).toBe(1)
    const moved = [{ lane: 'smtp:c', recipients: first!.entry.recipients, dueAt: 0 }]
    await store.settle(first!, { outcomes: new Map(), retryAt: 0, counted: false, moved })
    const [third] = await store.claim({ lane: 'smtp:c', now: 0, limit: 1, leaseMs: 1_000 })
    expect(third!.entry.entry).toBe(second!.entry.entry)
    await expect(store.settle(second!, relayed(second!))).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_CLAIM_LOST' })
    expect(await store.settle(third!, relayed(third!))).toBe('nothing')
    expect(await store.stats()).toMatchObject({ messages: 0, claimed: 0, bytes: 0 })
  })

  it('removes what the owner is delivering, and the owner does not bring it back', { timeout: 30_000 }, async () => {
    const directory = await spoolDirectory()
    const store = await owner(directory)
    for (const id of ['a1', 'a2', 'a3'])
      await store.put(message(id), letter(id === 'a3' ? Buffer.alloc(200_000) : 'x'), undefined, CALL)
    const claims = await store.claim({ lane: LANE, now: 0, limit: 3, leaseMs: 1_000 })
    const operator = await spoolProcess(directory, 'operator')
    expect(await operator.call('remove', {})).toBe(3)
    const lost = { code: 'ERR_MAILWRIGHT_CLAIM_LOST' }
    await expect(store.settle(claims[0]!, relayed(claims[0]!))).rejects.toMatchObject(lost)
    await expect(store.settle(claims[1]!, deferred(claims[1]!, 9))).rejects.toMatchObject(lost)
    await expect(store.renew(claims[2]!, 2_000)).rejects.toMatchObject(lost)
    expect(await store.stats()).toMatchObject({ messages: 0, entries: 0, bytes: 0 })
    expect(await store.nextDue()).toBeUndefined()
  })

  it('keeps its changes of a claimed entry when that is settled', { timeout: 30_000 }, async () => {
    const directory = await spoolDirectory()
    const store = await owner(directory)
    await store.put(message('a1'), letter(), undefined, CALL)
    await store.put(message('a2'), letter(), undefined, CALL)
    const [first, second] = await store.claim({ lane: LANE, now: 0, limit: 2, leaseMs: 1_000 })
    const operator = await spoolProcess(directory, 'operator')
    expect(await operator.call('hold', {}, 'wait')).toBe(2)
    await store.settle(first!, relayed(first!))
    await store.settle(second!, deferred(second!, 9))
    expect(await store.entries({ limit: 10 })).toMatchObject([{ message: 'a2', held: 'wait', dueAt: 9, attempts: 1 }])
  })

  it('claims nothing, and needs a spool that is there', { timeout: 30_000 }, async () => {
    const directory = await spoolDirectory()
    const config = { code: 'ERR_MAILWRIGHT_CONFIG' }
    await expect(lmdbStore({ directory, access: 'operator' }).open(eventLog())).rejects.toMatchObject(config)
    const store = await owner(directory)
    await store.put(message('a1'), letter(), undefined, CALL)
    // Two openings of one database in one process would wait for each other.
    await expect(lmdbStore({ directory, access: 'operator' }).open(eventLog())).rejects.toMatchObject(config)
    const operator = await spoolProcess(directory, 'operator')
    await expect(operator.call('claim', { lane: LANE, now: 0, limit: 1, leaseMs: 1 })).rejects.toMatchObject(config)
    expect(await operator.call('lanes', { now: 0, limit: 1 })).toEqual([{ lane: LANE, dueAt: 0 }])
    expect(await operator.call('nextDue')).toBe(0)
    expect(await operator.call('entries', { limit: 1 })).toMatchObject([{ message: 'a1' }])
  })

  it('may work while nobody owns the spool', { timeout: 30_000 }, async () => {
    const directory = await spoolDirectory()
    await (await owner(directory)).close()
    const operator = await spoolProcess(directory, 'operator')
    await operator.call('put', message('a1'), 'x'.repeat(200_000))
    const store = await owner(directory)
    expect(await store.lanes({ now: 0, limit: 1 })).toHaveLength(1)
    expect((await contentOf((await store.read('a1'))!)).length).toBe(200_017)
  })
})

describe('a process mark', () => {
  it('is running while its process is, and nobody else’s', async () => {
    const mark = await processMark()
    expect(await isRunning(mark)).toBe(true)
    expect(await isRunning(`${process.pid}.1`)).toBe(false)
    expect(await isRunning('0')).toBe(false)
    expect(await isRunning('nonsense')).toBe(false)
  })
})
