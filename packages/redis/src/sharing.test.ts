import type { Arrival, QueueStore } from '@mailwright/core'
import { expect, it } from 'vitest'
import type { RedisStore } from './redis-store.ts'
import { lossyLine } from './testing-support/lossy-line.ts'
import {
  CALL,
  claimAll,
  contentOf,
  deferred,
  dueLanes,
  LANE,
  letter,
  message,
  openedStore,
  relayed,
} from './testing-support/mail.ts'
import { redisServer, withServer } from './testing-support/redis-server.ts'

async function twoNodes(): Promise<readonly [RedisStore, RedisStore]> {
  const { path } = await redisServer()
  return [(await openedStore(path)).store, (await openedStore(path)).store]
}

/** The next life of a node, as soon as the server has noticed the end of the last. */
async function twinOf(path: string): Promise<RedisStore> {
  for (;;) {
    const { store } = await openedStore(path, { node: 'mx1' })
    if ((await store.stats()).claimed < 2) return store
    await store.close()
  }
}

/** Whose doing what a store hears of is, in order. */
function heard(store: QueueStore): Arrival[] {
  const arrivals: Arrival[] = []
  store.onArrival((by) => void arrivals.push(by))
  return arrivals
}

withServer('two nodes on one queue', () => {
  it('see each other’s mail, and each message is claimed by one of them', async () => {
    const [one, other] = await twoNodes()
    for (let index = 0; index < 40; index++) await one.put(message(`m${index}`), letter(), undefined, CALL)
    const rounds = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        [one, other][index % 2]!.claim({ lane: LANE, now: 0, limit: 3, leaseMs: 60_000 }),
      ),
    )
    const claimed = rounds.flat().map((claim) => claim.entry.message)
    expect(claimed).toHaveLength(40)
    expect(new Set(claimed).size).toBe(40)
    expect(await other.stats()).toMatchObject({ messages: 40, claimed: 40 })
  })

  it('deliver what the other took, byte for byte, and large mail too', async () => {
    const [one, other] = await twoNodes()
    const large = Buffer.alloc(1_500_000, 'abcdefg')
    await one.put(message('a1'), letter('small\r\n'), undefined, CALL)
    await one.put(message('a2'), letter(large), undefined, CALL)
    const [small, big] = await claimAll(other)
    expect((await contentOf(small!.message)).toString()).toBe('Subject: test\r\n\r\nsmall\r\n')
    expect((await contentOf(big!.message)).subarray(17).equals(large)).toBe(true)
    await other.settle(big!, relayed(big!))
    expect(await one.read('a2')).toBeUndefined()
  })

  it('give no claim of more bodies than one answer should carry: the rest is read when it is delivered', async () => {
    const [one, other] = await twoNodes()
    for (let index = 10; index < 40; index++)
      await one.put(message(`m${index}`), letter(Buffer.alloc(100_000, index)), undefined, CALL)
    const claims = await claimAll(other)
    expect(claims).toHaveLength(30)
    expect(claims.filter((claim) => claim.message.buffered === undefined).length).toBeGreaterThan(15)
    for (const [index, claim] of claims.entries()) {
      const body = (await contentOf(claim.message)).subarray(17)
      expect(body.equals(Buffer.alloc(100_000, index + 10))).toBe(true)
    }
  })

  it('wake each other when a lane has mail that had none, and not for every message', async () => {
    const [one, other] = await twoNodes()
    const own = heard(one)
    const others = heard(other)
    for (let index = 0; index < 5; index++) await one.put(message(`m${index}`), letter(), undefined, CALL)
    await expect.poll(() => others).toEqual(['mail'])
    await one.put(message('n1', 'smtp:example.com'), letter(), undefined, CALL)
    await expect.poll(() => others).toEqual(['mail', 'mail'])
    expect(own).toEqual([])
  })

  it('do not wake each other for mail that the one who took it delivers itself', async () => {
    const [one, other] = await twoNodes()
    const others = heard(other)
    const claim = { lanes: new Set([LANE]), now: 0, leaseMs: 60_000 }
    const [mine] = await one.put(message('a1'), letter(), claim, CALL)
    await one.settle(mine!, relayed(mine!))
    await one.put(message('a2'), letter(), undefined, CALL)
    await expect.poll(() => others).toEqual(['mail'])
  })

  it('hear of what an operator does at the other one', async () => {
    const [one, other] = await twoNodes()
    await one.put(message('a1'), letter(), undefined, CALL)
    const others = heard(other)
    await one.hold({}, 'suspicious')
    await one.release({}, 0)
    await one.instruct({}, { kind: 'expire' }, 0)
    await one.suspend({ scope: { kind: 'everything' }, reason: 'moving', since: 0 })
    await expect.poll(() => others.filter((by) => by === 'operator')).toHaveLength(4)
    expect(await other.suspensions()).toHaveLength(1)
    expect(await other.resume({ kind: 'everything' })).toBe(true)
    expect(await one.suspensions()).toEqual([])
  })

  it('may both change mail that others change: nothing is changed that is not meant any more', async () => {
    const [one, other] = await twoNodes()
    for (let index = 0; index < 300; index++) await one.put(message(`m${index}`), letter(), undefined, CALL)
    const [held, claims, alsoHeld] = await Promise.all([
      one.hold({}, 'one'),
      other.claim({ lane: LANE, now: 0, limit: 100, leaseMs: 60_000 }),
      other.hold({}, 'other'),
    ])
    expect(held + alsoHeld).toBe(300)
    for (const claim of claims) await other.settle(claim, deferred(claim, 5))
    expect(await one.stats()).toMatchObject({ held: 300, deferred: claims.length, claimed: 0 })
    expect(await dueLanes(one, 10)).toEqual([])
    const removed = await Promise.all([one.remove({}), other.remove({})])
    expect(removed[0]! + removed[1]!).toBe(300)
    expect(await one.stats()).toMatchObject({ messages: 0, entries: 0, held: 0, deferred: 0, bytes: 0, lanes: 0 })
  })
})

withServer('a message to very many destinations', () => {
  it('is stored, listed in pages, and settled like any other', async () => {
    const [one, other] = await twoNodes()
    const template = message('a1').entries[0]!
    const entries = Array.from({ length: 1_500 }, (_, index) => ({ ...template, lane: `smtp:${index}.example` }))
    for (const id of ['a1', 'a2']) await one.put({ ...message(id), entries }, letter(), undefined, CALL)
    await one.put(message('a3'), letter(), undefined, CALL)
    expect(await other.stats()).toMatchObject({ messages: 3, entries: 3_001, lanes: 1_501 })
    const listed = await other.entries({ limit: 5_000 })
    expect(new Set(listed.map(({ message: id, entry }) => `${id}/${entry}`)).size).toBe(3_001)
    expect(await other.hold({ messages: ['a2'] }, 'large')).toBe(1_500)
    const lanes = await other.lanes({ now: 0, limit: 5_000 })
    expect(lanes).toHaveLength(1_501)
    const claims = (await Promise.all(lanes.map(({ lane }) => claimAll(other, lane)))).flat()
    const ends = await Promise.all(claims.map((claim) => other.settle(claim, relayed(claim))))
    expect(ends.filter((end) => end === 'nothing')).toHaveLength(2)
    expect(await one.remove({})).toBe(1_500)
    expect(await one.stats()).toMatchObject({ messages: 0, entries: 0, held: 0, bytes: 0, lanes: 0 })
  })
})

withServer('a node that ends', () => {
  it('in peace gives its claims back at once', async () => {
    const [one, other] = await twoNodes()
    await one.put(message('a1'), letter(), undefined, CALL)
    const [claim] = await claimAll(one)
    await one.close()
    expect(await dueLanes(other)).toEqual([LANE])
    const [again] = await claimAll(other)
    expect(again!.token).not.toBe(claim!.token)
  })

  it('and begins again under its name has at once what it was delivering when it died', async () => {
    const { path } = await redisServer()
    const line = await lossyLine(path)
    const before = (await openedStore(line.path, { node: 'mx1' })).store
    const other = (await openedStore(path, { node: 'mx2' })).store
    for (const id of ['a1', 'a2', 'a3']) await before.put(message(id), letter(), undefined, CALL)
    const [claim] = await before.claim({ lane: LANE, now: 0, limit: 1, leaseMs: 3_600_000 })
    const [others] = await other.claim({ lane: LANE, now: 0, limit: 1, leaseMs: 3_600_000 })
    // While it lives, nobody takes from it: not even one that goes by its name.
    const twin = (await openedStore(path, { node: 'mx1' })).store
    expect(await twin.stats()).toMatchObject({ claimed: 2 })
    await twin.close()
    await line.tear()
    const after = await twinOf(path)
    const again = await claimAll(after)
    expect(again.map(({ entry }) => entry.message)).toEqual([claim!.entry.message, 'a3'])
    await other.settle(others!, relayed(others!))
    await line.mend()
    await expect.poll(() => before.refusing(), { timeout: 10_000 }).toBeNull()
    await expect(before.settle(claim!, relayed(claim!))).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_CLAIM_LOST' })
  })

  it('by dying leaves its claims to others when their leases end, by the server’s clock whatever its own says', async () => {
    const { path } = await redisServer()
    const dying = await openedStore(path)
    const { store } = await openedStore(path)
    await dying.store.put(message('a1'), letter(), undefined, CALL)
    await dying.store.put(message('a2'), letter(), undefined, CALL)
    // Its clock is an hour late, its lease is 300 ms all the same.
    const [claim] = await dying.store.claim({ lane: LANE, now: 0, limit: 1, leaseMs: 300 })
    const [kept] = await dying.store.claim({ lane: LANE, now: 0, limit: 1, leaseMs: 300 })
    await dying.store.renew(kept!, 3_600_000)
    expect((await store.claim({ lane: LANE, now: 7_200_000, limit: 9, leaseMs: 300 })).length).toBe(0)
    await expect.poll(() => dueLanes(store, 7_200_000), { timeout: 5_000 }).toEqual([LANE])
    const [again, ...more] = await claimAll(store)
    expect(again!.entry.message).toBe(claim!.entry.message)
    expect(more).toEqual([])
    await expect(dying.store.settle(claim!, relayed(claim!))).rejects.toMatchObject({
      code: 'ERR_MAILWRIGHT_CLAIM_LOST',
    })
    await expect(dying.store.renew(claim!, 1)).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_CLAIM_LOST' })
    await store.settle(again!, relayed(again!))
    await dying.store.settle(kept!, relayed(kept!))
    expect(await store.stats()).toMatchObject({ messages: 0, claimed: 0, lanes: 0 })
  })
})
