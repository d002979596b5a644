/** What opening and closing owe: nothing is lost but claims. */
import { expect } from 'vitest'
import {
  CALL,
  claimDue,
  claimOne,
  contentOf,
  DEFERRED,
  draft,
  FIRST_LANE,
  letter,
  listing,
  MINUTE,
  NOON,
  newEntry,
  put,
  RELAYED,
  SECOND_LANE,
  type StoreCase,
  settleAll,
} from './store-fixture.ts'

export const REOPEN_CASES: readonly StoreCase[] = [
  {
    title: 'opening says what was found',
    async run({ events }) {
      expect(events).toContainEqual({ type: 'store.recovered', messages: 0, strays: 0, corrupt: 0 })
    },
  },
  {
    title: 'a closed store takes and gives nothing',
    async run({ store }) {
      await put(store, draft('a1'))
      const claim = await claimOne(store)
      await store.close()
      const stopped = { code: 'ERR_MAILWRIGHT_STOPPED' }
      await expect(put(store, draft('a2'))).rejects.toMatchObject(stopped)
      await expect(claimDue(store)).rejects.toMatchObject(stopped)
      await expect(settleAll(store, claim, RELAYED)).rejects.toMatchObject(stopped)
      await expect(store.lanes({ now: NOON, limit: 1 })).rejects.toMatchObject(stopped)
      await expect(store.nextDue()).rejects.toMatchObject(stopped)
      await expect(store.entries({ limit: 1 })).rejects.toMatchObject(stopped)
      await expect(store.stats()).rejects.toMatchObject(stopped)
    },
  },
  {
    title: 'everything but the claims is as it was after opening again',
    needs: 'reopen',
    async run({ store, reopen }) {
      const entries = [
        newEntry(FIRST_LANE, ['ann@example.org', 'bob@example.org']),
        newEntry(SECOND_LANE, ['cleo@example.com']),
      ]
      await store.put(draft('a1', { entries, options: { ret: 'full' } }), letter('small'), undefined, CALL)
      await store.put(draft('a2', { sender: null, held: 'spam' }), letter(Buffer.alloc(300_000, 98)), undefined, CALL)
      await put(store, draft('a3', { lane: SECOND_LANE, dueAt: NOON + MINUTE }))
      const [claim] = await claimDue(store, FIRST_LANE)
      await store.settle(claim!, { outcomes: new Map([[1, DEFERRED]]), retryAt: NOON + 5, counted: true })
      await claimDue(store, SECOND_LANE, NOON + MINUTE)
      const before = await listing(store)
      const stats = await store.stats()
      const again = await reopen()
      expect(await listing(again)).toEqual(before.map((entry) => ({ ...entry, claimed: false })))
      expect(await again.stats()).toEqual({ ...stats, claimed: 0 })
      expect((await contentOf((await again.read('a1'))!)).toString()).toContain('small')
      expect((await contentOf((await again.read('a2'))!)).length).toBe(300_017)
      expect(await again.lanes({ now: NOON + MINUTE, limit: 10 })).toEqual([
        { lane: SECOND_LANE, dueAt: NOON },
        { lane: FIRST_LANE, dueAt: NOON + 5 },
      ])
      expect(await again.nextDue()).toBe(NOON)
      expect((await claimDue(again, FIRST_LANE, NOON + 5))[0]).toMatchObject({
        options: { ret: 'full' },
        entry: { attempts: 1 },
      })
    },
  },
  {
    title: 'claims from before are free for the next owner, and lost to the last',
    needs: 'reopen',
    async run({ store, reopen }) {
      const asked = { lanes: new Set([FIRST_LANE]), now: NOON, leaseMs: 5 * MINUTE }
      const [old] = await put(store, draft('a1'), asked)
      const again = await reopen()
      const claim = await claimOne(again)
      await expect(settleAll(again, old!, RELAYED)).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_CLAIM_LOST' })
      await settleAll(again, claim, RELAYED)
      expect(await listing(again)).toEqual([])
    },
  },
  {
    title: 'an empty queue is still empty after opening again, and says so',
    needs: 'reopen',
    async run({ store, reopen, events }) {
      await put(store, draft('a1'))
      await settleAll(store, await claimOne(store), RELAYED)
      const again = await reopen()
      expect(await listing(again)).toEqual([])
      expect(await again.nextDue()).toBeUndefined()
      expect(events.filter((event) => event.type === 'store.recovered')).toHaveLength(2)
    },
  },
]
