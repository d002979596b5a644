/** Lanes with streams, labels, and the queue in numbers: by lane, by age, and by what was tried. */
import { expect } from 'vitest'
import {
  BULK_LANE,
  CALL,
  claimDue,
  claimOne,
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

const HOUR = 60 * MINUTE
const AGES = [HOUR, 24 * HOUR]

export const SHAPE_CASES: readonly StoreCase[] = [
  {
    title: 'an empty queue has no shape',
    async run({ store }) {
      expect(await store.shape({ now: NOON, ages: AGES, limit: 10 })).toEqual([])
    },
  },
  {
    title: 'the shape tells how old the mail of each lane is, the fullest lane first',
    async run({ store }) {
      await put(store, draft('a1', { lane: SECOND_LANE, arrivedAt: NOON - 48 * HOUR }))
      await put(store, draft('a2', { lane: SECOND_LANE, arrivedAt: NOON - 3 * HOUR }))
      await put(store, draft('a3', { arrivedAt: NOON - 2 * HOUR, held: 'spam' }))
      await put(store, draft('a4', { lane: SECOND_LANE, arrivedAt: NOON - 10 * MINUTE }))
      await put(store, draft('a5', { lane: SECOND_LANE, arrivedAt: NOON }))
      expect(await store.shape({ now: NOON, ages: AGES, limit: 10 })).toEqual([
        { lane: SECOND_LANE, entries: 4, ages: [2, 1, 1] },
        { lane: FIRST_LANE, entries: 1, ages: [0, 1, 0] },
      ])
      expect(await store.shape({ now: NOON + 12 * HOUR, ages: AGES, limit: 1 })).toEqual([
        { lane: SECOND_LANE, entries: 4, ages: [0, 3, 1] },
      ])
      expect(await store.shape({ now: NOON, ages: [], limit: 1 })).toEqual([
        { lane: SECOND_LANE, entries: 4, ages: [4] },
      ])
    },
  },
  {
    title: 'the shape follows mail that is claimed, moved, settled and removed',
    async run({ store }) {
      const shape = async (): Promise<unknown> =>
        (await store.shape({ now: NOON, ages: [HOUR], limit: 10 })).map((each) => [each.lane, ...each.ages])
      await put(store, draft('a1', { arrivedAt: NOON - 2 * HOUR }))
      await put(store, draft('a2', { lane: SECOND_LANE }))
      const claim = await claimOne(store)
      expect(await shape()).toEqual(expect.arrayContaining([[FIRST_LANE, 0, 1]]))
      const moved = [{ lane: SECOND_LANE, recipients: claim.entry.recipients, dueAt: NOON }]
      await store.settle(claim, { outcomes: new Map(), retryAt: NOON, counted: false, moved })
      expect(await shape()).toEqual([[SECOND_LANE, 1, 1]])
      const [settled] = await claimDue(store, SECOND_LANE, NOON, 1)
      await settleAll(store, settled!, RELAYED)
      expect(await store.shape({ now: NOON, ages: [], limit: 10 })).toMatchObject([{ lane: SECOND_LANE, entries: 1 }])
      await store.remove({})
      expect(await shape()).toEqual([])
    },
  },
  {
    title: 'an entry with an instruction is counted in its own lane',
    async run({ store }) {
      await put(store, draft('a1'))
      await store.instruct({}, { kind: 'requeue' }, NOON)
      expect(await store.shape({ now: NOON, ages: [], limit: 10 })).toEqual([
        { lane: FIRST_LANE, entries: 1, ages: [1] },
      ])
    },
  },
  {
    title: 'the shape and the numbers are the same after opening again',
    needs: 'reopen',
    async run({ store, reopen }) {
      await put(store, draft('a1', { arrivedAt: NOON - 2 * HOUR }))
      await put(store, draft('a2'))
      const [claim] = await claimDue(store, FIRST_LANE, NOON, 1)
      await settleAll(store, claim!, DEFERRED)
      const query = { now: NOON, ages: AGES, limit: 10 }
      const before = [await store.shape(query), await store.stats()]
      const again = await reopen()
      expect([await again.shape(query), await again.stats()]).toEqual(before)
      expect(before).toMatchObject([[{ ages: [1, 1, 0] }], { deferred: 1 }])
    },
  },
  {
    title: 'mail that was tried is counted as deferred until it leaves',
    async run({ store }) {
      await put(store, draft('a1'))
      await put(store, draft('a2'))
      const [one, two] = await claimDue(store)
      expect(await store.stats()).toMatchObject({ deferred: 0 })
      await settleAll(store, one!, DEFERRED)
      await store.settle(two!, { outcomes: new Map(), retryAt: NOON, counted: false })
      expect(await store.stats()).toMatchObject({ entries: 2, deferred: 1 })
      for (const claim of await claimDue(store)) await settleAll(store, claim, DEFERRED)
      expect(await store.stats()).toMatchObject({ deferred: 2 })
      await store.remove({ messages: ['a1'] })
      expect(await store.stats()).toMatchObject({ deferred: 1 })
      await settleAll(store, await claimOne(store), RELAYED)
      expect(await store.stats()).toMatchObject({ deferred: 0 })
    },
  },
  {
    title: 'streams to one destination are lanes of their own',
    async run({ store }) {
      const entries = [newEntry(SECOND_LANE, ['ann@example.com']), newEntry(BULK_LANE, ['bob@example.com'])]
      await put(store, draft('a1', { entries }), { lanes: new Set([BULK_LANE]), now: NOON, leaseMs: MINUTE })
      expect(await store.lanes({ now: NOON, limit: 10 })).toEqual([{ lane: SECOND_LANE, dueAt: NOON }])
      expect(await store.nextDue(new Set([SECOND_LANE]))).toBeUndefined()
      expect((await claimDue(store, SECOND_LANE)).map((claim) => claim.entry.lane)).toEqual([SECOND_LANE])
      expect(await store.stats()).toMatchObject({ lanes: 2, claimed: 2 })
    },
  },
  {
    title: 'many labels of many letters come back as given, in a listing and in a claim',
    async run({ store }) {
      const labels = Object.fromEntries(
        Array.from({ length: 100 }, (_, index) => [`label-${index}`, `${'wert '.repeat(10)}ü${index}`]),
      )
      await store.put(draft('a1', { options: { labels } }), letter(), undefined, CALL)
      expect((await listing(store))[0]!.labels).toEqual(labels)
      const claim = await claimOne(store)
      expect(claim.entry.labels).toEqual(labels)
      expect(claim.options.labels).toEqual(labels)
      const selection = { labels: { 'label-99': labels['label-99']! } }
      expect(await store.entries({ selection, limit: 10 })).toHaveLength(1)
    },
  },
  {
    title: 'a label named like something every object has is no label unless it was given',
    async run({ store }) {
      await put(store, draft('a1', { options: { labels: { tenant: 'acme' } } }))
      await put(store, draft('a2'))
      expect(await store.entries({ selection: { labels: { constructor: 'x' } }, limit: 10 })).toEqual([])
      expect(await store.entries({ selection: { labels: { tenant: 'acme' } }, limit: 10 })).toHaveLength(1)
    },
  },
]
