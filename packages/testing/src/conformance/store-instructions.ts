/** What an operator wants done with entries: kept with them, and met by whoever claims. */
import { INSTRUCTED_LANE, type Instruction } from '@mailwright/core'
import { expect } from 'vitest'
import {
  claimDue,
  claimOne,
  DEFERRED,
  draft,
  FIRST_LANE,
  ids,
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

const REQUEUE: Instruction = { kind: 'requeue' }
const EXPIRE: Instruction = { kind: 'expire' }
const REROUTE: Instruction = { kind: 'reroute', lane: SECOND_LANE }

export const INSTRUCTION_CASES: readonly StoreCase[] = [
  ...[REQUEUE, EXPIRE, REROUTE].map(
    (instruction): StoreCase => ({
      title: `an instruction to ${instruction.kind} is listed, and met by whoever claims the entry`,
      async run({ store }) {
        await put(store, draft('a1', { dueAt: NOON + 5 * MINUTE }))
        expect(await store.instruct({}, instruction, NOON)).toBe(1)
        expect(await listing(store)).toMatchObject([{ lane: FIRST_LANE, dueAt: NOON, instruction }])
        const claim = await claimOne(store, INSTRUCTED_LANE)
        expect(claim.entry).toMatchObject({ lane: FIRST_LANE, instruction, claimed: true })
      },
    }),
  ),
  {
    title: 'an instruction is written into the selected entries only',
    async run({ store }) {
      const entries = [newEntry(FIRST_LANE, ['ann@example.org']), newEntry(SECOND_LANE, ['bob@example.com'])]
      await put(store, draft('a1', { entries }))
      await put(store, draft('a2'))
      expect(await store.instruct({ messages: ['a1'], lane: SECOND_LANE }, EXPIRE, NOON)).toBe(1)
      expect((await listing(store)).map((entry) => entry.instruction)).toEqual([undefined, EXPIRE, undefined])
      expect(await store.instruct({ messages: ['nosuch'] }, EXPIRE, NOON)).toBe(0)
    },
  },
  {
    title: 'entries with an instruction are due in a lane of their own, whatever happens to their destination',
    async run({ store }) {
      await put(store, draft('a1'))
      await put(store, draft('a2', { lane: SECOND_LANE }))
      await put(store, draft('a3', { lane: SECOND_LANE }))
      await store.instruct({ messages: ['a1', 'a2'] }, REQUEUE, NOON - MINUTE)
      expect(await store.lanes({ now: NOON, limit: 10 })).toEqual([
        { lane: INSTRUCTED_LANE, dueAt: NOON - MINUTE },
        { lane: SECOND_LANE, dueAt: NOON },
      ])
      expect(await store.nextDue(new Set([FIRST_LANE, SECOND_LANE]))).toBe(NOON - MINUTE)
      expect(await store.nextDue(new Set([INSTRUCTED_LANE]))).toBe(NOON)
      expect(await claimDue(store, FIRST_LANE)).toEqual([])
      expect((await claimDue(store, SECOND_LANE)).map((claim) => claim.entry.message)).toEqual(['a3'])
      expect((await claimDue(store, INSTRUCTED_LANE)).map((claim) => claim.entry.message)).toEqual(['a1', 'a2'])
      expect(await store.stats()).toMatchObject({ entries: 3, lanes: 2 })
    },
  },
  {
    title: 'a held entry with an instruction waits for its release',
    async run({ store }) {
      await put(store, draft('a1', { held: 'spam' }))
      expect(await store.instruct({}, EXPIRE, NOON)).toBe(1)
      expect(await listing(store)).toMatchObject([{ held: 'spam', instruction: EXPIRE }])
      expect(await claimDue(store, INSTRUCTED_LANE)).toEqual([])
      expect(await store.nextDue()).toBeUndefined()
      await store.release({}, NOON + MINUTE)
      expect(await claimOne(store, INSTRUCTED_LANE, NOON + MINUTE)).toMatchObject({ entry: { instruction: EXPIRE } })
    },
  },
  {
    title: 'a claimed entry finishes its attempt first, and its instruction is due when it was given',
    async run({ store }) {
      await put(store, draft('a1', { to: ['ann@example.org', 'bob@example.org'] }))
      const claim = await claimOne(store)
      expect(await store.instruct({}, REQUEUE, NOON + MINUTE)).toBe(1)
      expect(await claimDue(store, INSTRUCTED_LANE, NOON + MINUTE)).toEqual([])
      await store.settle(claim, { outcomes: new Map([[1, RELAYED]]), retryAt: NOON + 60 * MINUTE, counted: true })
      expect(await listing(store)).toMatchObject([{ attempts: 1, dueAt: NOON + MINUTE, instruction: REQUEUE }])
      expect(await claimDue(store, FIRST_LANE, NOON + 60 * MINUTE)).toEqual([])
      expect((await claimOne(store, INSTRUCTED_LANE, NOON + MINUTE)).entry.recipients).toMatchObject([{ id: 2 }])
    },
  },
  {
    title: 'an instruction to an entry whose attempt serves everybody is gone with it',
    async run({ store }) {
      await put(store, draft('a1'))
      const claim = await claimOne(store)
      await store.instruct({}, EXPIRE, NOON)
      expect(await settleAll(store, claim, RELAYED)).toBe('nothing')
      expect(await claimDue(store, INSTRUCTED_LANE, NOON)).toEqual([])
    },
  },
  {
    title: 'an instruction that could not be carried out is kept, for the time the settlement says',
    async run({ store }) {
      await put(store, draft('a1'))
      await store.instruct({}, REQUEUE, NOON)
      const claim = await claimOne(store, INSTRUCTED_LANE)
      await settleAll(store, claim, DEFERRED, NOON + 5 * MINUTE)
      expect(await listing(store)).toMatchObject([{ dueAt: NOON + 5 * MINUTE, instruction: REQUEUE }])
      expect(await claimDue(store, INSTRUCTED_LANE, NOON)).toEqual([])
      expect(await claimDue(store, INSTRUCTED_LANE, NOON + 5 * MINUTE)).toHaveLength(1)
    },
  },
  {
    title: 'a later instruction takes the place of the first',
    async run({ store }) {
      await put(store, draft('a1'))
      await store.instruct({}, REQUEUE, NOON)
      expect(await store.instruct({}, EXPIRE, NOON)).toBe(1)
      expect((await claimOne(store, INSTRUCTED_LANE)).entry.instruction).toEqual(EXPIRE)
    },
  },
  {
    title: 'mail with an instruction can be removed',
    async run({ store }) {
      await put(store, draft('a1'))
      await store.instruct({}, EXPIRE, NOON)
      expect(await store.remove({})).toBe(1)
      expect(await ids(store)).toEqual([])
      expect(await claimDue(store, INSTRUCTED_LANE)).toEqual([])
      expect(await store.nextDue()).toBeUndefined()
    },
  },
  {
    title: 'instructions are kept over closing and opening',
    needs: 'reopen',
    async run({ store, reopen }) {
      await put(store, draft('a1'))
      await put(store, draft('a2'))
      await store.instruct({ messages: ['a1'] }, REROUTE, NOON)
      const again = await reopen()
      expect((await listing(again)).map((entry) => entry.instruction)).toEqual([REROUTE, undefined])
      expect((await claimOne(again, INSTRUCTED_LANE)).entry.message).toBe('a1')
      expect((await claimOne(again, FIRST_LANE)).entry.message).toBe('a2')
    },
  },
  {
    title: 'an instruction tells those who wait for arrivals',
    async run({ store }) {
      let calls = 0
      store.onArrival(() => {
        calls += 1
      })
      await store.instruct({}, EXPIRE, NOON)
      expect(calls).toBe(0)
      await put(store, draft('a1'))
      await store.instruct({}, EXPIRE, NOON)
      expect(calls).toBe(1)
    },
  },
]
