/** What a scheduler asks: which lanes are due, and when to come back. */
import { expect } from 'vitest'
import {
  claimDue,
  claimOne,
  DEFERRED,
  draft,
  FIRST_LANE,
  LEASE_MS,
  MINUTE,
  NOON,
  newEntry,
  put,
  RELAYED,
  SECOND_LANE,
  type StoreCase,
  settleAll,
} from './store-fixture.ts'

export const SCHEDULE_CASES: readonly StoreCase[] = [
  {
    title: 'an empty queue has no lanes and nothing due',
    async run({ store }) {
      expect(await store.lanes({ now: NOON, limit: 10 })).toEqual([])
      expect(await store.nextDue()).toBeUndefined()
      expect(await store.stats()).toMatchObject({ messages: 0, entries: 0, held: 0, claimed: 0, bytes: 0, lanes: 0 })
    },
  },
  {
    title: 'due lanes come with the longest waiting first, each once',
    async run({ store }) {
      await put(store, draft('a1', { lane: 'smtp:c', dueAt: NOON - 1 }))
      await put(store, draft('a2', { lane: 'smtp:b', dueAt: NOON - 3 }))
      await put(store, draft('a3', { lane: 'smtp:a', dueAt: NOON - 2 }))
      await put(store, draft('a4', { lane: 'smtp:a', dueAt: NOON - 5 }))
      await put(store, draft('a5', { lane: 'smtp:later', dueAt: NOON + 1 }))
      expect(await store.lanes({ now: NOON, limit: 10 })).toEqual([
        { lane: 'smtp:a', dueAt: NOON - 5 },
        { lane: 'smtp:b', dueAt: NOON - 3 },
        { lane: 'smtp:c', dueAt: NOON - 1 },
      ])
      expect(await store.lanes({ now: NOON, limit: 2 })).toEqual([
        { lane: 'smtp:a', dueAt: NOON - 5 },
        { lane: 'smtp:b', dueAt: NOON - 3 },
      ])
      expect(await store.lanes({ now: NOON - 4, limit: 10 })).toEqual([{ lane: 'smtp:a', dueAt: NOON - 5 }])
    },
  },
  {
    title: 'excluded lanes are not reported and do not use up the limit',
    async run({ store }) {
      for (let index = 0; index < 5; index++)
        await put(store, draft(`a${index}`, { lane: `smtp:${index}`, dueAt: NOON + index }))
      const exclude = new Set(['smtp:0', 'smtp:1', 'smtp:3'])
      expect(await store.lanes({ now: NOON + 10, limit: 2, exclude })).toEqual([
        { lane: 'smtp:2', dueAt: NOON + 2 },
        { lane: 'smtp:4', dueAt: NOON + 4 },
      ])
      expect(await store.nextDue(exclude)).toBe(NOON + 2)
      expect(await store.nextDue(new Set(['smtp:1']))).toBe(NOON)
      expect(await store.nextDue(new Set(['smtp:0', 'smtp:1', 'smtp:2', 'smtp:3', 'smtp:4']))).toBeUndefined()
    },
  },
  {
    title: 'claimed entries make no lane due, and no next time',
    async run({ store }) {
      await put(store, draft('a1'))
      await put(store, draft('a2', { dueAt: NOON + MINUTE }))
      await claimDue(store)
      expect(await store.lanes({ now: NOON, limit: 10 })).toEqual([])
      expect(await store.nextDue()).toBe(NOON + MINUTE)
      await claimDue(store, FIRST_LANE, NOON + MINUTE)
      expect(await store.nextDue()).toBeUndefined()
    },
  },
  {
    title: 'a lane whose leases have ended is due again',
    async run({ store }) {
      await put(store, draft('a1'))
      await claimOne(store)
      expect(await store.lanes({ now: NOON + LEASE_MS - 1, limit: 10 })).toEqual([])
      expect(await store.lanes({ now: NOON + LEASE_MS, limit: 10 })).toEqual([{ lane: FIRST_LANE, dueAt: NOON }])
    },
  },
  {
    title: 'a deferral moves its lane to the retry time, and a later message does not delay it',
    async run({ store }) {
      await put(store, draft('a1'))
      await settleAll(store, await claimOne(store), DEFERRED, NOON + 5 * MINUTE)
      expect(await store.lanes({ now: NOON + MINUTE, limit: 10 })).toEqual([])
      expect(await store.nextDue()).toBe(NOON + 5 * MINUTE)
      await put(store, draft('a2', { dueAt: NOON + 9 * MINUTE }))
      expect(await store.nextDue()).toBe(NOON + 5 * MINUTE)
      await put(store, draft('a3', { dueAt: NOON + 2 * MINUTE }))
      expect(await store.nextDue()).toBe(NOON + 2 * MINUTE)
      expect(await store.lanes({ now: NOON + 2 * MINUTE, limit: 10 })).toEqual([
        { lane: FIRST_LANE, dueAt: NOON + 2 * MINUTE },
      ])
    },
  },
  {
    title: 'held entries make no lane due',
    async run({ store }) {
      await put(store, draft('a1', { held: 'quarantine' }))
      expect(await store.lanes({ now: NOON, limit: 10 })).toEqual([])
      expect(await store.nextDue()).toBeUndefined()
      expect(await claimDue(store)).toEqual([])
      expect(await store.stats()).toMatchObject({ held: 1, entries: 1, lanes: 1 })
    },
  },
  {
    title: 'a lane that ran empty is due again as soon as it gets mail',
    async run({ store }) {
      for (let round = 0; round < 20; round++) {
        const at = NOON + round * MINUTE
        await put(store, draft(`a${round}`, { dueAt: at }))
        expect(await store.nextDue()).toBe(at)
        expect(await store.lanes({ now: at, limit: 10 })).toEqual([{ lane: FIRST_LANE, dueAt: at }])
        await settleAll(store, await claimOne(store, FIRST_LANE, at), RELAYED)
        expect(await store.lanes({ now: at + MINUTE, limit: 10 })).toEqual([])
        expect(await store.nextDue()).toBeUndefined()
      }
    },
  },
  {
    title: 'mail that comes while others ask for due lanes is never overlooked',
    async run({ store }) {
      for (let round = 0; round < 30; round++) {
        const at = NOON + round
        const lanes = [`smtp:${round % 3}`, `smtp:${(round + 1) % 7}`, `smtp:new${round}`]
        const entries = lanes.map((lane) => newEntry(lane, ['ann@example.org'], at))
        await Promise.all([
          put(store, draft(`a${round}`, { entries })),
          store.lanes({ now: at, limit: 10 }),
          store.nextDue(),
          put(store, draft(`b${round}`, { lane: lanes[0]!, dueAt: at })),
          store.nextDue(),
        ])
        const due = await store.lanes({ now: at, limit: 10 })
        expect(new Set(due.map((each) => each.lane))).toEqual(new Set(lanes))
        for (const { lane } of due)
          for (const claim of await claimDue(store, lane, at)) await settleAll(store, claim, RELAYED)
        expect(await store.nextDue()).toBeUndefined()
      }
    },
  },
  {
    title: 'two lanes with many entries each count once',
    async run({ store }) {
      for (let index = 0; index < 10; index++) {
        const entries = [newEntry(FIRST_LANE, ['ann@example.org']), newEntry(SECOND_LANE, ['bob@example.com'])]
        await put(store, draft(`a${index}`, { entries }))
      }
      expect(await store.stats()).toMatchObject({ messages: 10, entries: 20, lanes: 2 })
      expect(await store.lanes({ now: NOON, limit: 10 })).toHaveLength(2)
    },
  },
]
