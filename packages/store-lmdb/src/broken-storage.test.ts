/** A database that fails in the middle of things: the trouble is told as it is, and no mail is taken for corrupt or lost. */
import { describe, expect, it } from 'vitest'
import { storageFailure } from './failure.ts'
import { failingSpool } from './testing-support/failing-spool.ts'
import { CALL, deferred, LANE, letter, message, relayed } from './testing-support/spool-directory.ts'

const TROUBLE = { code: 'ERR_MAILWRIGHT_STORE' }
const NOW_CLAIM = { lanes: new Set([LANE]), now: 0, leaseMs: 1_000 }
const ALL = { lane: LANE, now: 0, limit: 10, leaseMs: 1_000 }

function broken(): never {
  throw new Error('MDB_CORRUPTED: Located page was wrong type')
}

const full = (): Promise<never> => Promise.reject(Object.assign(new Error('no room'), { code: 28 }))

describe('mail that cannot be read for a moment', () => {
  it.each(['entries.getEntry', 'messages.get'])('is not claimed and not set aside: %s', async (call) => {
    const { parts, events, putting, claiming, instead } = await failingSpool()
    for (const id of ['a1', 'a2']) await putting.put(message(id), letter(), undefined, CALL)
    const [table, method] = call.split('.') as ['entries', 'getEntry']
    const read = parts.db[table][method]
    // The first is read, and leased; the second is not.
    let reads = 0
    instead.set(call, (...given) => (++reads > 1 ? broken() : read(...(given as unknown as Parameters<typeof read>))))
    expect(() => claiming.claim(ALL)).toThrow('MDB_CORRUPTED')
    instead.delete(call)
    await parts.work.idle()
    expect(parts.leases.live).toBe(0)
    expect(events.log.filter(({ type }) => type === 'store.corrupt')).toEqual([])
    expect(claiming.lanes({ now: 0, limit: 1 })).toEqual([{ lane: LANE, dueAt: 0 }])
    expect(claiming.claim(ALL)).toHaveLength(2)
  })

  it('is not set aside because an operator looked at it', async () => {
    const { parts, events, putting, operating, instead } = await failingSpool()
    await putting.put(message('a1'), letter(), undefined, CALL)
    instead.set('messages.get', broken)
    expect(() => operating.read('a1')).toThrow('MDB_CORRUPTED')
    instead.set('entries.getRange', () => [{ key: ['a1', 0], value: undefined }])
    await expect(operating.entries({ limit: 10 })).rejects.toThrow(TypeError)
    instead.clear()
    await parts.work.idle()
    expect(events.log).toEqual([])
    expect(await operating.entries({ limit: 10 })).toHaveLength(1)
  })
})

it('mail that is put again while a trace of its like is removed keeps its place', async () => {
  const { parts, putting, claiming, instead } = await failingSpool()
  await putting.put(message('a1'), letter(), undefined, CALL)
  // The row that leads to it was found without its entry, a moment ago.
  instead.set('entries.getEntry', () => undefined)
  expect(claiming.claim(ALL)).toEqual([])
  instead.clear()
  await parts.work.idle()
  parts.lanes.forget()
  expect(claiming.claim(ALL)).toHaveLength(1)
})

describe('a change that cannot be committed', () => {
  it('is an error of storage, and the claim stays its holder’s', async () => {
    const { putting, claiming, settling, instead, parts } = await failingSpool()
    await putting.put(message('a1'), letter(), undefined, CALL)
    const [claim] = claiming.claim(ALL)
    instead.set('root.childTransaction', full)
    instead.set('entries.ifVersion', full)
    await expect(settling.settle(claim!, deferred(claim!, 5))).rejects.toMatchObject({
      ...TROUBLE,
      reply: { code: 452 },
    })
    expect(parts.space.refusing()).toMatchObject({ code: 452 })
    instead.clear()
    expect(await settling.settle(claim!, deferred(claim!, 5))).toBe('waiting')
  })

  it('of a message that was known leaves no lease, and its byte count is written with the next', async () => {
    const { parts, putting, instead } = await failingSpool()
    await putting.put(message('a1'), letter(), undefined, CALL)
    instead.set('counters.put', full)
    await expect(putting.put(message('a1'), letter(), NOW_CLAIM, CALL)).rejects.toMatchObject(TROUBLE)
    expect(parts.leases.live).toBe(0)
    instead.clear()
    await parts.work.idle()
    expect(parts.space.refusing()).toMatchObject({ code: 452 })
    expect(await putting.put(message('a2'), letter(), NOW_CLAIM, CALL)).toHaveLength(1)
    expect(parts.counts.bytes.read()).toBe(2 * letter().size)
    expect(parts.space.refusing()).toBeNull()
  })
})

describe('an operator and an attempt at the same mail', () => {
  it('may both end it: the attempt’s end is refused where the removal was first', async () => {
    const { parts, putting, claiming, settling, operating } = await failingSpool()
    await putting.put(message('a1'), letter(), undefined, CALL)
    const [claim] = claiming.claim(ALL)
    const [removed, settled] = await Promise.allSettled([
      operating.remove({}),
      settling.settle(claim!, relayed(claim!)),
    ])
    const lost = settled.status === 'rejected'
    expect(removed).toMatchObject({ status: 'fulfilled', value: lost ? 1 : 0 })
    if (lost) expect(settled.reason).toMatchObject({ code: 'ERR_MAILWRIGHT_CLAIM_LOST' })
    expect([parts.leases.live, parts.counts.bytes.read()]).toEqual([0, 0])
  })

  it('may both end it: nothing is removed where the attempt was first', async () => {
    const { parts, putting, claiming, settling, operating, instead } = await failingSpool()
    await putting.put(message('a1'), letter(), undefined, CALL)
    const [claim] = claiming.claim(ALL)
    // The operator has seen the entry, and settles on it while that is being settled.
    const change = parts.db.root.childTransaction
    instead.set('root.childTransaction', async (work: () => unknown) => {
      await settling.settle(claim!, relayed(claim!))
      return change(work as () => never)
    })
    expect(await operating.remove({})).toBe(0)
    expect([parts.leases.live, parts.counts.bytes.read()]).toEqual([0, 0])
  })

  it('does not end mail that was put again under its id while the notice about the first was being written', async () => {
    const { parts, putting, claiming, settling, operating } = await failingSpool()
    await putting.put(message('a1'), letter(), undefined, CALL)
    const [claim] = claiming.claim(ALL)
    const written = Promise.withResolvers<void>()
    async function* slowly(): AsyncGenerator<Uint8Array> {
      yield Buffer.alloc(200_000)
      await written.promise
    }
    const source = { head: Buffer.from('\r\n'), size: 200_002, body: slowly }
    const ending = settling.settle(claim!, { ...relayed(claim!), also: { message: message('n1'), source } })
    expect(await operating.remove({})).toBe(1)
    await putting.put(message('a1'), letter(), undefined, CALL)
    written.resolve()
    await expect(ending).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_CLAIM_LOST' })
    expect(await operating.entries({ limit: 10 })).toMatchObject([{ message: 'a1', claimed: false }])
    expect(parts.counts.bytes.read()).toBe(letter().size)
  })
})

describe('a lease that is over', () => {
  it('is in force again when it is renewed before anybody else claimed, and ends again', async () => {
    const { parts, putting, claiming } = await failingSpool()
    for (const id of ['a1', 'a2', 'a3']) await putting.put(message(id), letter(), undefined, CALL)
    const [first] = claiming.claim({ ...ALL, limit: 1 })
    claiming.claim({ ...ALL, limit: 1, leaseMs: 10_000 })
    claiming.claim({ ...ALL, limit: 1, leaseMs: 20_000 })
    expect(claiming.lanes({ now: 1_000, limit: 1 })).toEqual([{ lane: LANE, dueAt: 0 }])
    claiming.renew(first!, 3_000)
    expect(parts.leases.live).toBe(3)
    expect(claiming.lanes({ now: 1_500, limit: 1 })).toEqual([])
    expect(claiming.claim({ ...ALL, now: 2_999 })).toEqual([])
    expect(claiming.lanes({ now: 3_000, limit: 1 })).toEqual([{ lane: LANE, dueAt: 0 }])
    // One that is over already is not ended twice.
    expect(claiming.lanes({ now: 10_000, limit: 1 })).toEqual([{ lane: LANE, dueAt: 0 }])
    expect(parts.leases.live).toBe(1)
    expect(claiming.claim({ ...ALL, now: 10_000 }).map(({ entry }) => entry.message)).toEqual(['a1', 'a2'])
  })
})

it('a commit that failed without saying why is an error of storage all the same', async () => {
  const error = Object.assign(new Error('Commit failed'), { commitError: Promise.resolve() })
  expect(await storageFailure(error)).toMatchObject({ ...TROUBLE, reply: undefined, cause: error })
})
