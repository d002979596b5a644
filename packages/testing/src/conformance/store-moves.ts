/** Settlements that send what stays elsewhere. */
import { INSTRUCTED_LANE, type Outcome } from '@mailwright/core'
import { expect } from 'vitest'
import {
  BULK_LANE,
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
  REFUSED,
  RELAYED,
  SECOND_LANE,
  type StoreCase,
  settleAll,
} from './store-fixture.ts'

const NOBODY: ReadonlyMap<number, Outcome> = new Map()

export const MOVE_CASES: readonly StoreCase[] = [
  {
    title: 'what stays goes on in the entries it is moved to, and is no more where it was',
    async run({ store }) {
      await put(store, draft('a1', { to: ['ann@example.org', 'bob@example.com', 'cleo@example.net'] }))
      const claim = await claimOne(store)
      const [ann, bob, cleo] = claim.entry.recipients
      const moved = [
        { lane: SECOND_LANE, recipients: [cleo!, bob!], dueAt: NOON },
        { lane: BULK_LANE, recipients: [ann!], dueAt: NOON + MINUTE },
      ]
      expect(await store.settle(claim, { outcomes: NOBODY, retryAt: NOON, counted: false, moved })).toBe('waiting')
      expect(await listing(store)).toMatchObject([
        { message: 'a1', entry: 1, lane: SECOND_LANE, recipients: [cleo, bob], dueAt: NOON, attempts: 0 },
        { message: 'a1', entry: 2, lane: BULK_LANE, recipients: [ann], dueAt: NOON + MINUTE, attempts: 0 },
      ])
      expect(await claimDue(store, FIRST_LANE, NOON + MINUTE)).toEqual([])
      const stats = { messages: 1, entries: 2, lanes: 2, claimed: 0, bytes: 24 }
      expect(await store.stats()).toMatchObject(stats)
      const next = await claimOne(store, SECOND_LANE)
      expect((await contentOf(next.message)).toString()).toContain('Hello')
      await settleAll(store, next, RELAYED)
      expect(await settleAll(store, await claimOne(store, BULK_LANE, NOON + MINUTE), RELAYED)).toBe('nothing')
    },
  },
  {
    title: 'what was said of those who are moved goes with them, and those served are not among them',
    async run({ store }) {
      await put(store, draft('a1', { to: ['ann@example.org', 'bob@example.org', 'cleo@example.org'] }))
      await settleAll(store, await claimOne(store), DEFERRED, NOON)
      const claim = await claimOne(store)
      const outcomes = new Map<number, Outcome>([[1, RELAYED]])
      const moved = [newEntry(SECOND_LANE, [], NOON)].map((entry) => ({
        ...entry,
        recipients: claim.entry.recipients.slice(1).map(({ lastReply: _, ...recipient }) => recipient),
      }))
      await store.settle(claim, { outcomes, retryAt: NOON, counted: false, moved })
      const [entry] = await listing(store)
      expect(entry!.recipients.map((each) => [each.id, each.lastReply])).toEqual([
        [2, '451 4.3.0 Try later'],
        [3, '451 4.3.0 Try later'],
      ])
    },
  },
  {
    title: 'moved mail keeps its attempts, its hold, and that its sender was warned, but no instruction',
    async run({ store }) {
      await put(store, draft('a1', { arrivedAt: NOON - 60 * MINUTE, options: { labels: { tenant: 'acme' } } }))
      const first = await claimOne(store)
      await store.settle(first, { outcomes: NOBODY, retryAt: NOON, counted: true, warned: true })
      await store.instruct({}, { kind: 'requeue' }, NOON)
      const claim = await claimOne(store, INSTRUCTED_LANE)
      await store.hold({}, 'operator')
      const moved = [{ lane: SECOND_LANE, recipients: claim.entry.recipients, dueAt: NOON }]
      await store.settle(claim, { outcomes: NOBODY, retryAt: NOON, counted: false, moved })
      const [entry] = await listing(store)
      expect(entry).toMatchObject({ lane: SECOND_LANE, attempts: 1, held: 'operator', warned: true })
      expect(entry).toMatchObject({ arrivedAt: NOON - 60 * MINUTE, labels: { tenant: 'acme' } })
      expect(entry!.instruction).toBeUndefined()
      expect(await claimDue(store, SECOND_LANE)).toEqual([])
      expect(await store.stats()).toMatchObject({ entries: 1, held: 1, deferred: 1, lanes: 1 })
    },
  },
  {
    title: 'mail may be moved into the lane it was in, and into one that has other entries of the message',
    async run({ store }) {
      const entries = [newEntry(FIRST_LANE, ['ann@example.org']), newEntry(SECOND_LANE, ['bob@example.com'])]
      await put(store, draft('a1', { entries }))
      const claim = await claimOne(store, SECOND_LANE)
      const moved = [{ lane: FIRST_LANE, recipients: claim.entry.recipients, dueAt: NOON }]
      await store.settle(claim, { outcomes: NOBODY, retryAt: NOON, counted: false, moved })
      const again = (await claimDue(store, FIRST_LANE)).at(-1)!
      expect(again.entry.entry).toBe(2)
      await store.settle(again, { outcomes: NOBODY, retryAt: NOON, counted: false, moved })
      expect((await listing(store)).map((entry) => [entry.entry, entry.lane])).toEqual([
        [0, FIRST_LANE],
        [3, FIRST_LANE],
      ])
    },
  },
  {
    title: 'members of an alias may go on beside those who were named',
    async run({ store }) {
      await put(store, draft('a1'))
      const claim = await claimOne(store)
      const [ann] = claim.entry.recipients
      const recipients = [ann!, { ...ann!, id: 2, address: { local: 'bob', domain: 'example.com' } }]
      const moved = [{ lane: SECOND_LANE, recipients, dueAt: NOON }]
      await store.settle(claim, { outcomes: NOBODY, retryAt: NOON, counted: false, moved })
      expect((await listing(store))[0]!.recipients).toEqual(recipients)
    },
  },
  {
    title: 'a settlement that would lose somebody on the way is refused, and nothing happens',
    async run({ store }) {
      await put(store, draft('a1', { to: ['ann@example.org', 'bob@example.org'] }))
      const claim = await claimOne(store)
      const moved = [{ lane: SECOND_LANE, recipients: claim.entry.recipients.slice(1), dueAt: NOON }]
      const settlement = { outcomes: NOBODY, retryAt: NOON, counted: false, moved }
      await expect(store.settle(claim, settlement)).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_STORE' })
      expect(await listing(store)).toMatchObject([{ entry: 0, lane: FIRST_LANE, claimed: true }])
      await settleAll(store, claim, RELAYED)
    },
  },
  {
    title: 'moving and a notice are one change',
    async run({ store }) {
      await put(store, draft('a1', { to: ['ann@example.org', 'bob@example.org'] }))
      const claim = await claimOne(store)
      const moved = [{ lane: SECOND_LANE, recipients: claim.entry.recipients.slice(1), dueAt: NOON }]
      const also = { message: draft('b1', { sender: null, lane: FIRST_LANE }), source: letter() }
      const outcomes = new Map<number, Outcome>([[1, REFUSED]])
      await store.settle(claim, { outcomes, retryAt: NOON, counted: false, moved, also })
      expect((await listing(store)).map((entry) => [entry.message, entry.lane])).toEqual([
        ['a1', SECOND_LANE],
        ['b1', FIRST_LANE],
      ])
    },
  },
  {
    title: 'a sender once warned stays warned',
    async run({ store }) {
      await put(store, draft('a1'))
      expect((await listing(store))[0]!.warned).toBeUndefined()
      const settlement = { outcomes: NOBODY, retryAt: NOON, counted: true }
      await store.settle(await claimOne(store), { ...settlement, warned: true })
      const claim = await claimOne(store)
      expect(claim.entry.warned).toBe(true)
      await store.settle(claim, settlement)
      expect((await listing(store))[0]!.warned).toBe(true)
    },
  },
  {
    title: 'what was moved is where it went after opening again',
    needs: 'reopen',
    async run({ store, reopen }) {
      await put(store, draft('a1'))
      const claim = await claimOne(store)
      const moved = [{ lane: BULK_LANE, recipients: claim.entry.recipients, dueAt: NOON }]
      await store.settle(claim, { outcomes: NOBODY, retryAt: NOON, counted: true, moved, warned: true })
      const before = await listing(store)
      const again = await reopen()
      expect(await listing(again)).toEqual(before)
      expect((await claimOne(again, BULK_LANE)).entry).toMatchObject({ entry: 1, attempts: 1, warned: true })
    },
  },
]
