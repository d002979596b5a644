/** Leases: exclusive while they last, fenced when they end. */
import { expect } from 'vitest'
import {
  claimDue,
  claimOne,
  contentOf,
  DEFERRED,
  draft,
  FIRST_LANE,
  LEASE_MS,
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

const LOST = { code: 'ERR_MAILWRIGHT_CLAIM_LOST' }

export const CLAIM_CASES: readonly StoreCase[] = [
  {
    title: 'a claim carries the entry, the options and the message',
    async run({ store }) {
      await put(store, draft('a1', { options: { requireTls: true, envid: 'x' } }))
      const claim = await claimOne(store)
      expect(claim).toMatchObject({
        entry: { message: 'a1', entry: 0, lane: FIRST_LANE, attempts: 0, claimed: true, dueAt: NOON, size: 24 },
        options: { requireTls: true, envid: 'x' },
        leaseUntil: NOON + LEASE_MS,
      })
      expect((await contentOf(claim.message)).toString()).toBe('Subject: test\r\n\r\nHello\r\n')
      expect((await listing(store))[0]).toMatchObject({ claimed: true })
      expect(await store.stats()).toMatchObject({ claimed: 1 })
    },
  },
  {
    title: 'a claimed entry is nobody else’s until its lease ends',
    async run({ store }) {
      await put(store, draft('a1'))
      await claimOne(store)
      expect(await claimDue(store, FIRST_LANE, NOON + LEASE_MS - 1)).toEqual([])
      expect(await claimDue(store, FIRST_LANE, NOON + LEASE_MS)).toHaveLength(1)
    },
  },
  {
    title: 'the longest due are claimed first, as many as asked for',
    async run({ store }) {
      await put(store, draft('a1', { dueAt: NOON + 3 }))
      await put(store, draft('a2', { dueAt: NOON + 1 }))
      await put(store, draft('a3', { dueAt: NOON + 2 }))
      await put(store, draft('a4', { dueAt: NOON + 20 }))
      const first = await claimDue(store, FIRST_LANE, NOON + 10, 2)
      expect(first.map((claim) => claim.entry.message)).toEqual(['a2', 'a3'])
      const rest = await claimDue(store, FIRST_LANE, NOON + 10, 2)
      expect(rest.map((claim) => claim.entry.message)).toEqual(['a1'])
    },
  },
  {
    title: 'an entry is due at its time, not a moment before',
    async run({ store }) {
      await put(store, draft('a1', { dueAt: NOON + MINUTE }))
      expect(await claimDue(store, FIRST_LANE, NOON + MINUTE - 1)).toEqual([])
      expect(await claimDue(store, FIRST_LANE, NOON + MINUTE)).toHaveLength(1)
    },
  },
  {
    title: 'only the lane asked for is claimed, however alike the names',
    async run({ store }) {
      for (const [index, lane] of [
        'smtp:a',
        'smtp:a.',
        'smtp:a.b',
        'smtp:',
        'smtp',
        'smtp:A',
        '1',
        ' smtp:a',
      ].entries())
        await put(store, draft(`m${index}`, { lane }))
      const claims = await claimDue(store, 'smtp:a')
      expect(claims.map((claim) => claim.entry.message)).toEqual(['m0'])
      expect((await claimDue(store, '1')).map((claim) => claim.entry.message)).toEqual(['m6'])
    },
  },
  {
    title: 'every claim has a token of its own',
    async run({ store }) {
      for (const id of ['a1', 'a2', 'a3']) await put(store, draft(id))
      const claims = await claimDue(store)
      expect(new Set(claims.map((claim) => claim.token)).size).toBe(3)
      const again = await claimDue(store, FIRST_LANE, NOON + LEASE_MS)
      expect(new Set([...claims, ...again].map((claim) => claim.token)).size).toBe(6)
    },
  },
  {
    title: 'a renewed lease lasts until the new end',
    async run({ store }) {
      await put(store, draft('a1'))
      const claim = await claimOne(store)
      await store.renew(claim, NOON + 2 * LEASE_MS)
      expect(await claimDue(store, FIRST_LANE, NOON + 2 * LEASE_MS - 1)).toEqual([])
      expect(await claimDue(store, FIRST_LANE, NOON + 2 * LEASE_MS)).toHaveLength(1)
    },
  },
  {
    title: 'the first holder is fenced off when another has claimed the entry',
    async run({ store }) {
      await put(store, draft('a1'))
      const slow = await claimOne(store)
      const quick = await claimOne(store, FIRST_LANE, NOON + LEASE_MS)
      await expect(settleAll(store, slow, RELAYED)).rejects.toMatchObject(LOST)
      await expect(store.renew(slow, NOON + 3 * LEASE_MS)).rejects.toMatchObject(LOST)
      expect(await listing(store)).toHaveLength(1)
      await settleAll(store, quick, RELAYED)
      expect(await listing(store)).toEqual([])
    },
  },
  {
    title: 'a lease that ended is lost only to another claim: until then its holder may settle',
    async run({ store }) {
      await put(store, draft('a1'))
      await put(store, draft('a2'))
      const [one, two] = await claimDue(store)
      expect(await store.lanes({ now: NOON + LEASE_MS, limit: 1 })).toEqual([{ lane: FIRST_LANE, dueAt: NOON }])
      expect(await store.stats()).toMatchObject({ claimed: 0 })
      await settleAll(store, one!, DEFERRED, NOON + 2 * LEASE_MS)
      expect(await store.nextDue()).toBe(NOON)
      await settleAll(store, two!, RELAYED)
      expect(await store.nextDue()).toBe(NOON + 2 * LEASE_MS)
    },
  },
  {
    title: 'a lease that put gave ends like any other',
    async run({ store }) {
      const claim = { lanes: new Set([FIRST_LANE]), now: NOON, leaseMs: LEASE_MS }
      const [slow] = await put(store, draft('a1'), claim)
      expect(await claimDue(store, FIRST_LANE, NOON + LEASE_MS - 1)).toEqual([])
      expect(await claimDue(store, FIRST_LANE, NOON + LEASE_MS)).toHaveLength(1)
      await expect(settleAll(store, slow!, RELAYED)).rejects.toMatchObject(LOST)
    },
  },
  {
    title: 'a claim of an entry that was removed is lost, and does not bring it back',
    async run({ store }) {
      await put(store, draft('a1'))
      await put(store, draft('a2'))
      const [one, two] = await claimDue(store)
      expect(await store.remove({})).toBe(2)
      await expect(settleAll(store, one!, RELAYED)).rejects.toMatchObject(LOST)
      await expect(settleAll(store, two!, DEFERRED, NOON + MINUTE)).rejects.toMatchObject(LOST)
      await expect(store.renew(one!, NOON + LEASE_MS)).rejects.toMatchObject(LOST)
      expect(await listing(store)).toEqual([])
      expect(await store.stats()).toMatchObject({ messages: 0, entries: 0, bytes: 0, claimed: 0, lanes: 0 })
      expect(await store.nextDue()).toBeUndefined()
    },
  },
  {
    title: 'claimed entries do not hide those behind them',
    async run({ store }) {
      for (let index = 0; index < 30; index++) await put(store, draft(`m${index + 10}`, { dueAt: NOON + index }))
      const seen: string[] = []
      for (let round = 0; round < 10; round++)
        seen.push(...(await claimDue(store, FIRST_LANE, NOON + 100, 3)).map((claim) => claim.entry.message))
      expect(seen).toEqual(Array.from({ length: 30 }, (_, index) => `m${index + 10}`))
      await put(store, draft('early', { dueAt: NOON - MINUTE }))
      expect((await claimOne(store, FIRST_LANE, NOON + 100)).entry.message).toBe('early')
    },
  },
  {
    title: 'the lanes of one message are claimed and settled apart',
    async run({ store }) {
      const entries = [newEntry(FIRST_LANE, ['ann@example.org']), newEntry(SECOND_LANE, ['bob@example.com'])]
      await put(store, draft('a1', { entries }))
      const first = await claimOne(store, FIRST_LANE)
      const second = await claimOne(store, SECOND_LANE)
      await settleAll(store, first, RELAYED)
      expect((await listing(store)).map((entry) => entry.lane)).toEqual([SECOND_LANE])
      expect((await contentOf(second.message)).length).toBe(24)
      await settleAll(store, second, RELAYED)
      expect(await store.stats()).toMatchObject({ messages: 0, bytes: 0 })
    },
  },
]
