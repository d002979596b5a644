/** What an operator does to a live queue: hold, release, reschedule, remove, list. */
import type { QueueStore, Selection } from '@mailwright/core'
import { expect } from 'vitest'
import {
  BULK_LANE,
  CALL,
  claimDue,
  claimOne,
  contentOf,
  DEFERRED,
  draft,
  FIRST_LANE,
  ids,
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

/** Four messages, five entries, to select among: of three hours, two sizes and two labels, and one was tried. */
async function fill(store: QueueStore): Promise<void> {
  await put(store, draft('a1', { to: ['Ann@example.org', 'bob@example.com'], arrivedAt: NOON - 60 * MINUTE }))
  await settleAll(store, await claimOne(store), DEFERRED, NOON)
  const labels = { tenant: 'acme', campaign: 'spring-sale' }
  await store.put(
    draft('a2', { sender: null, lane: SECOND_LANE, to: ['cleo@sub.example.org'], options: { labels } }),
    letter(Buffer.alloc(1_000, 97)),
    undefined,
    CALL,
  )
  await put(
    store,
    draft('a3', { sender: { local: 'Other', domain: 'example.net' }, to: ['dan@example.org'], held: 'spam' }),
  )
  const entries = [newEntry(FIRST_LANE, ['ann@example.org']), newEntry(BULK_LANE, ['eve@example.com'])]
  const options = { labels: { tenant: 'acme' } }
  await put(store, draft('a4', { entries, options, arrivedAt: NOON + 60 * MINUTE }))
}

/** Each selection, and the entries of `fill` it means. */
const SELECTIONS: readonly (readonly [string, Selection, readonly string[]])[] = [
  ['everything', {}, ['a1/0', 'a2/0', 'a3/0', 'a4/0', 'a4/1']],
  ['by message', { messages: ['a4', 'a1', 'nosuch'] }, ['a1/0', 'a4/0', 'a4/1']],
  ['by no message', { messages: [] }, []],
  ['by entry', { messages: ['a4', 'a1'], entries: [{ message: 'a4', entry: 1 }] }, ['a4/1']],
  [
    'by entry alone',
    {
      entries: [
        { message: 'a1', entry: 0 },
        { message: 'a1', entry: 1 },
      ],
    },
    ['a1/0'],
  ],
  ['by destination, whatever the stream', { lane: SECOND_LANE }, ['a2/0', 'a4/1']],
  ['by lane', { lane: BULK_LANE }, ['a4/1']],
  ['by sender, without case', { sender: 'other@Example.NET' }, ['a3/0']],
  ['by the null sender', { sender: '' }, ['a2/0']],
  ['by recipient, without case', { recipient: 'ann@EXAMPLE.org' }, ['a1/0', 'a4/0']],
  ['by the recipient’s domain', { recipient: '@example.org' }, ['a1/0', 'a3/0', 'a4/0']],
  ['by being held', { held: true }, ['a3/0']],
  ['by not being held', { held: false }, ['a1/0', 'a2/0', 'a4/0', 'a4/1']],
  ['by a status: deferred', { status: 'deferred' }, ['a1/0']],
  ['by a status: held', { status: 'held' }, ['a3/0']],
  ['by a status: waiting', { status: 'waiting' }, ['a2/0', 'a4/0', 'a4/1']],
  ['by a status: claimed', { status: 'claimed' }, []],
  ['by label', { labels: { tenant: 'acme' } }, ['a2/0', 'a4/0', 'a4/1']],
  ['by two labels', { labels: { campaign: 'spring-sale', tenant: 'acme' } }, ['a2/0']],
  ['by a label that nobody has', { labels: { tenant: 'other' } }, []],
  ['by having arrived before', { arrivedBefore: NOON }, ['a1/0']],
  ['by having arrived since', { arrivedSince: NOON + 60 * MINUTE }, ['a4/0', 'a4/1']],
  ['by being at least so large', { atLeast: 1_017 }, ['a2/0']],
  ['by being at most so large', { atMost: 24 }, ['a1/0', 'a3/0', 'a4/0', 'a4/1']],
  ['by what was last said, in part and without case', { lastReply: 'TRY later' }, ['a1/0']],
  ['by several conditions', { lane: FIRST_LANE, recipient: '@example.org', held: false }, ['a1/0', 'a4/0']],
]

async function named(store: QueueStore, selection: Selection): Promise<readonly string[]> {
  return (await store.entries({ selection, limit: 100 })).map((entry) => `${entry.message}/${entry.entry}`)
}

const SELECTION_CASES: readonly StoreCase[] = SELECTIONS.flatMap(([title, selection, meant]): readonly StoreCase[] => [
  {
    title: `entries are listed ${title}`,
    async run({ store }) {
      await fill(store)
      expect(await named(store, selection)).toEqual(meant)
    },
  },
  {
    title: `entries are removed ${title}, and no others`,
    async run({ store }) {
      await fill(store)
      const before = await named(store, {})
      expect(await store.remove(selection)).toBe(meant.length)
      const left = before.filter((name) => !meant.includes(name))
      expect(await named(store, {})).toEqual(left)
      expect((await store.stats()).messages).toBe(new Set(left.map((name) => name.slice(0, 2))).size)
    },
  },
  {
    title: `entries are held and released ${title}`,
    async run({ store }) {
      await fill(store)
      const { held, ...rest } = selection
      const free = meant.filter((name) => name !== 'a3/0')
      expect(await store.hold(selection, 'investigating')).toBe(held === true ? 0 : free.length)
      if (held === undefined && selection.status === undefined) {
        const kept = await store.entries({ selection: { ...rest, held: true }, limit: 100 })
        expect(kept.map((entry) => `${entry.message}/${entry.entry}`)).toEqual(meant)
        expect(await store.release(rest, NOON + MINUTE)).toBe(meant.length)
        const released = await store.entries({ selection: rest, limit: 100 })
        for (const entry of released) expect(entry).toMatchObject({ dueAt: NOON + MINUTE })
        for (const entry of released) expect(entry.held).toBeUndefined()
      }
    },
  },
])

export const OPERATOR_CASES: readonly StoreCase[] = [
  ...SELECTION_CASES,
  {
    title: 'a listing goes on after the last entry seen',
    async run({ store }) {
      await fill(store)
      const seen: string[] = []
      let after: { message: string; entry: number } | undefined
      for (;;) {
        const page = await store.entries({ limit: 2, after })
        if (page.length === 0) break
        seen.push(...page.map((entry) => `${entry.message}/${entry.entry}`))
        const last = page.at(-1)!
        after = { message: last.message, entry: last.entry }
      }
      expect(seen).toEqual(['a1/0', 'a2/0', 'a3/0', 'a4/0', 'a4/1'])
      const selection = { lane: SECOND_LANE }
      expect(await store.entries({ selection, limit: 1, after: { message: 'a2', entry: 0 } })).toMatchObject([
        { message: 'a4', entry: 1 },
      ])
    },
  },
  {
    title: 'a listing goes on after an entry that has left meanwhile',
    async run({ store }) {
      await fill(store)
      await store.remove({ messages: ['a2'] })
      const page = await store.entries({ limit: 10, after: { message: 'a2', entry: 0 } })
      expect(page.map((entry) => entry.message)).toEqual(['a3', 'a4', 'a4'])
    },
  },
  {
    title: 'held mail waits until it is released, and is then due at once',
    async run({ store }) {
      await put(store, draft('a1', { dueAt: NOON + 5 * MINUTE }))
      await store.hold({ messages: ['a1'] }, 'operator')
      expect((await listing(store))[0]).toMatchObject({ held: 'operator' })
      expect(await store.stats()).toMatchObject({ held: 1 })
      expect(await claimDue(store, FIRST_LANE, NOON + 9 * MINUTE)).toEqual([])
      expect(await store.nextDue()).toBeUndefined()
      expect(await store.release({ messages: ['a1'] }, NOON)).toBe(1)
      expect(await store.stats()).toMatchObject({ held: 0 })
      expect(await store.lanes({ now: NOON, limit: 10 })).toEqual([{ lane: FIRST_LANE, dueAt: NOON }])
      expect(await claimDue(store)).toHaveLength(1)
    },
  },
  {
    title: 'holding what is held changes nothing, and so does releasing what is free',
    async run({ store }) {
      await put(store, draft('a1', { held: 'first' }))
      await put(store, draft('a2', { dueAt: NOON + MINUTE }))
      expect(await store.hold({ messages: ['a1'] }, 'second')).toBe(0)
      expect(await store.release({ messages: ['a2'] }, NOON)).toBe(0)
      expect((await listing(store)).map((entry) => [entry.held, entry.dueAt])).toEqual([
        ['first', NOON],
        [undefined, NOON + MINUTE],
      ])
    },
  },
  {
    title: 'a claimed entry that is held finishes its attempt, and then waits',
    async run({ store }) {
      await put(store, draft('a1'))
      await put(store, draft('a2'))
      const [one, two] = await claimDue(store)
      expect(await store.hold({}, 'operator')).toBe(2)
      await settleAll(store, one!, RELAYED)
      await settleAll(store, two!, DEFERRED, NOON)
      expect(await listing(store)).toMatchObject([{ message: 'a2', held: 'operator', attempts: 1 }])
      expect(await claimDue(store)).toEqual([])
      expect(await store.stats()).toMatchObject({ messages: 1, held: 1, claimed: 0 })
      await store.release({}, NOON)
      expect(await claimDue(store)).toHaveLength(1)
    },
  },
  {
    title: 'a claimed entry that is released again is still claimed',
    async run({ store }) {
      await put(store, draft('a1'))
      const claim = await claimOne(store)
      await store.hold({}, 'operator')
      await store.release({}, NOON)
      expect(await claimDue(store)).toEqual([])
      await settleAll(store, claim, RELAYED)
      expect(await ids(store)).toEqual([])
    },
  },
  {
    title: 'rescheduled mail is due at the new time, earlier or later',
    async run({ store }) {
      await put(store, draft('a1', { dueAt: NOON + 5 * MINUTE }))
      expect(await store.reschedule({ lane: FIRST_LANE }, NOON)).toBe(1)
      expect(await store.nextDue()).toBe(NOON)
      expect(await store.lanes({ now: NOON, limit: 10 })).toEqual([{ lane: FIRST_LANE, dueAt: NOON }])
      expect(await store.reschedule({}, NOON + MINUTE)).toBe(1)
      expect(await store.nextDue()).toBe(NOON + MINUTE)
      expect(await claimDue(store)).toEqual([])
      expect((await claimOne(store, FIRST_LANE, NOON + MINUTE)).entry.dueAt).toBe(NOON + MINUTE)
    },
  },
  {
    title: 'a claimed entry that is rescheduled keeps its claim, and its settlement decides',
    async run({ store }) {
      await put(store, draft('a1'))
      const claim = await claimOne(store)
      await store.reschedule({}, NOON - MINUTE)
      expect(await claimDue(store)).toEqual([])
      await settleAll(store, claim, DEFERRED, NOON + MINUTE)
      expect(await store.nextDue()).toBe(NOON + MINUTE)
      expect(await claimDue(store, FIRST_LANE, NOON)).toEqual([])
    },
  },
  {
    title: 'held mail that is rescheduled stays held',
    async run({ store }) {
      await put(store, draft('a1', { held: 'spam' }))
      expect(await store.reschedule({}, NOON + MINUTE)).toBe(1)
      expect((await listing(store))[0]).toMatchObject({ held: 'spam', dueAt: NOON + MINUTE })
      expect(await claimDue(store, FIRST_LANE, NOON + MINUTE)).toEqual([])
    },
  },
  {
    title: 'removing one entry of a message leaves the others and the body',
    async run({ store }) {
      await fill(store)
      expect(await store.remove({ messages: ['a4'], lane: FIRST_LANE })).toBe(1)
      const claim = (await claimDue(store, BULK_LANE)).find((each) => each.entry.message === 'a4')
      expect((await contentOf(claim!.message)).toString()).toContain('Hello')
    },
  },
  {
    title: 'release and reschedule tell those who wait for arrivals, until they unsubscribe',
    async run({ store }) {
      let calls = 0
      await put(store, draft('a1', { held: 'spam' }))
      const unsubscribe = store.onArrival(() => {
        calls += 1
      })
      await store.release({}, NOON)
      expect(calls).toBe(1)
      await store.reschedule({}, NOON)
      expect(calls).toBe(2)
      unsubscribe()
      await store.reschedule({}, NOON)
      expect(calls).toBe(2)
    },
  },
]
