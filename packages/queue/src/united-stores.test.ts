import type { Call, Events, NewMessage, QueueStore, RecipientId, Suspension } from '@mailwright/core'
import { storeConformance } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { memoryStore } from './memory-store.ts'
import { unitedStores } from './united-stores.ts'

/** Whatever one store must do, two must do together. */
storeConformance({
  name: 'unitedStores',
  create: async () => {
    const store = unitedStores([memoryStore(), memoryStore()])
    return { store, reopen: async () => store, dispose: async () => {} }
  },
  skip: {
    'suspending and resuming tell those who wait for arrivals, as an operator’s doing': 'each of the two tells',
    'an empty queue is still empty after opening again, and says so': 'each of the two says so',
  },
})

const CALL: Call = { signal: new AbortController().signal }
const SILENT: Events = { wants: () => false, emit: () => {}, subscribe: () => () => {} }
const [NEAR, FAR] = ['smtp:near.example', 'smtp:far.example']
const RELAYED = { status: 'ok', action: 'relayed', reply: { code: 250, enhanced: '2.0.0', text: 'Ok' } } as const

function message(id: string, lane: string, dueAt = 0): NewMessage {
  const address = { local: 'ann', domain: 'example.org' }
  const entries = [{ lane, recipients: [{ id: 1, address, original: address }], dueAt }]
  return { id, sender: null, options: {}, arrivedAt: Number(id.slice(1)), entries }
}

async function put(store: QueueStore, about: NewMessage): Promise<void> {
  const head = Buffer.from(`X-Id: ${about.id}\r\n\r\n`)
  const source = { head, size: head.length, buffered: new Uint8Array(), async *body(): AsyncGenerator<Uint8Array> {} }
  await store.put(about, source, undefined, CALL)
}

/** Two stores with mail of their own, united and open: the second is what somebody left behind. */
async function shards(): Promise<{ readonly both: QueueStore; readonly own: QueueStore; readonly left: QueueStore }> {
  const [own, left] = [memoryStore(), memoryStore()]
  const both = unitedStores([own, left])
  await both.open(SILENT)
  await put(own, message('m1', NEAR, 30))
  await put(left, message('m2', NEAR, 10))
  await put(own, message('m3', NEAR, 40))
  await put(left, message('m4', FAR, 20))
  return { both, own, left }
}

const messagesOf = (entries: readonly { readonly message: string }[]): string[] => entries.map((each) => each.message)

describe('united stores', () => {
  it('list all mail in order of ids, page by page', async () => {
    const { both } = await shards()
    const first = await both.entries({ limit: 3 })
    expect(messagesOf(first)).toEqual(['m1', 'm2', 'm3'])
    expect(messagesOf(await both.entries({ limit: 3, after: { message: 'm3', entry: 0 } }))).toEqual(['m4'])
    expect(Buffer.from((await both.read('m4'))!.head).toString()).toBe('X-Id: m4\r\n\r\n')
    expect(await both.read('m5')).toBeUndefined()
  })

  it('put new mail into the first', async () => {
    const { both, own, left } = await shards()
    await put(both, message('m5', FAR))
    expect(messagesOf(await own.entries({ limit: 9 }))).toContain('m5')
    expect(messagesOf(await left.entries({ limit: 9 }))).not.toContain('m5')
  })

  it('report a lane once, by its longest waiting mail', async () => {
    const { both } = await shards()
    expect(await both.lanes({ now: 100, limit: 9 })).toEqual([
      { lane: NEAR, dueAt: 10 },
      { lane: FAR, dueAt: 20 },
    ])
    expect(await both.lanes({ now: 100, limit: 1 })).toEqual([{ lane: NEAR, dueAt: 10 }])
    expect(await both.nextDue(new Set([NEAR]))).toBe(20)
    expect(await both.nextDue(new Set([NEAR, FAR]))).toBeUndefined()
  })

  it('give what was left behind first, and settle each claim where it came from', async () => {
    const { both, own, left } = await shards()
    const claims = await both.claim({ lane: NEAR, now: 100, limit: 2, leaseMs: 1_000 })
    expect(claims.map(({ entry }) => entry.message)).toEqual(['m2', 'm1'])
    for (const claim of claims) {
      await both.renew(claim, 5_000)
      const outcomes = new Map<RecipientId, typeof RELAYED>([[1, RELAYED]])
      expect(await both.settle(claim, { outcomes, retryAt: 0, counted: true })).toBe('nothing')
      await expect(both.settle(claim, { outcomes, retryAt: 0, counted: true })).rejects.toMatchObject({
        code: 'ERR_MAILWRIGHT_CLAIM_LOST',
      })
    }
    expect(messagesOf(await own.entries({ limit: 9 }))).toEqual(['m3'])
    expect(messagesOf(await left.entries({ limit: 9 }))).toEqual(['m4'])
  })

  it('give what they have when one of them fails, and fail when there is nothing else', async () => {
    const { both, own } = await shards()
    own.claim = () => Promise.reject(new Error('the disk is gone'))
    const query = { lane: NEAR, now: 100, limit: 9, leaseMs: 1_000 }
    expect((await both.claim(query)).map(({ entry }) => entry.message)).toEqual(['m2'])
    await expect(both.claim(query)).rejects.toThrow('the disk is gone')
  })

  it('do not know a claim of another store', async () => {
    const { both, own } = await shards()
    const [foreign] = await own.claim({ lane: NEAR, now: 100, limit: 1, leaseMs: 1_000 })
    await expect(both.renew(foreign!, 1)).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_CLAIM_LOST' })
  })

  it("add up what an operator's change has done", async () => {
    const { both } = await shards()
    expect(await both.hold({ lane: NEAR }, 'wait')).toBe(3)
    expect(await both.release({ messages: ['m2', 'm3'] }, 50)).toBe(2)
    expect(await both.reschedule({ lane: FAR }, 60)).toBe(1)
    expect(await both.instruct({}, { kind: 'expire' }, 50)).toBe(4)
    expect(await both.remove({ held: true })).toBe(1)
    expect(messagesOf(await both.entries({ limit: 9 }))).toEqual(['m2', 'm3', 'm4'])
  })

  it('add up their counts, and count a lane that both have once', async () => {
    const { both } = await shards()
    expect(await both.stats()).toMatchObject({ messages: 4, entries: 4, lanes: 2, claimed: 0, oldest: 1 })
    const shape = await both.shape({ now: 600_000, ages: [3_600_000], limit: 9 })
    expect(shape).toEqual([
      { lane: NEAR, entries: 3, ages: [3, 0] },
      { lane: FAR, entries: 1, ages: [1, 0] },
    ])
    expect(await both.shape({ now: 600_000, ages: [], limit: 1 })).toEqual([{ lane: NEAR, entries: 3, ages: [3] }])
  })

  it('are suspended together, and resumed together', async () => {
    const { both, own, left } = await shards()
    const suspension: Suspension = { scope: { kind: 'lane', lane: NEAR }, reason: 'moving', since: 0 }
    await both.suspend(suspension)
    expect(await left.suspensions()).toEqual([suspension])
    expect(await both.suspensions()).toEqual([suspension])
    expect(await own.resume(suspension.scope)).toBe(true)
    expect(await both.resume(suspension.scope)).toBe(true)
    expect(await both.resume(suspension.scope)).toBe(false)
    expect(await both.suspensions()).toEqual([])
  })

  it('tell of arrivals in any of them, until nobody listens', async () => {
    const { both, left } = await shards()
    const heard: string[] = []
    const end = both.onArrival((by) => void heard.push(by))
    await left.reschedule({}, 5)
    expect(heard.length).toBe(1)
    end()
    await left.reschedule({}, 5)
    expect(heard.length).toBe(1)
  })

  it('are open all or none', async () => {
    const [own, left] = [memoryStore(), memoryStore()]
    await left.open(SILENT)
    await expect(unitedStores([own, left]).open(SILENT)).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_STORE_BUSY' })
    await own.open(SILENT)
  })

  it('are all closed, even when one of them cannot be', async () => {
    const { both, own, left } = await shards()
    own.close = () => Promise.reject(new Error('stuck'))
    await expect(both.close()).rejects.toThrow('stuck')
    await expect(left.stats()).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_STOPPED' })
  })

  it('of one are that one, and of none a mistake', () => {
    const only = memoryStore()
    expect(unitedStores([only])).toBe(only)
    expect(() => unitedStores([])).toThrow(/no stores/)
  })
})
