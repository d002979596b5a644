/** Settlements: one atomic change, once. */
import type { Outcome } from '@mailwright/core'
import { expect } from 'vitest'
import {
  all,
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
  REFUSED,
  RELAYED,
  SECOND_LANE,
  type StoreCase,
  settleAll,
} from './store-fixture.ts'

const LOST = { code: 'ERR_MAILWRIGHT_CLAIM_LOST' }
const NOTICE_LANE = 'smtp:example.net'

export const SETTLE_CASES: readonly StoreCase[] = [
  {
    title: 'a settlement tells whether anything of its message is left',
    async run({ store }) {
      await put(store, draft('a1', { to: ['ann@example.org', 'bob@example.org'] }))
      const partly = { outcomes: new Map([[1, RELAYED]]), retryAt: NOON, counted: true }
      expect(await store.settle(await claimOne(store), partly)).toBe('waiting')
      const wholly = { outcomes: new Map([[2, REFUSED]]), retryAt: NOON, counted: true }
      expect(await store.settle(await claimOne(store), wholly)).toBe('nothing')
      await put(store, draft('a2'))
      expect(await settleAll(store, await claimOne(store), RELAYED)).toBe('nothing')
    },
  },
  {
    title: 'a message whose recipients are all served is gone, body and all',
    async run({ store }) {
      await put(store, draft('a1', { to: ['ann@example.org', 'bob@example.org'] }))
      const claim = await claimOne(store)
      const outcomes = new Map([
        [1, RELAYED],
        [2, REFUSED],
      ])
      await store.settle(claim, { outcomes, retryAt: NOON, counted: true })
      expect(await listing(store)).toEqual([])
      expect(await store.read('a1')).toBeUndefined()
      const stats = await store.stats()
      expect(stats).toMatchObject({ messages: 0, entries: 0, claimed: 0, bytes: 0, lanes: 0 })
      expect(stats.oldest).toBeUndefined()
    },
  },
  {
    title: 'deferred recipients stay with what was said of them, and so do those not named',
    async run({ store }) {
      const to = ['ann@example.org', 'bob@example.org', 'cleo@example.org', 'dan@example.org']
      await put(store, draft('a1', { to }))
      const claim = await claimOne(store)
      const answer: Outcome = {
        ...(DEFERRED as Extract<Outcome, { status: 'deferred' }>),
        remote: { host: 'mx.example.org[192.0.2.1]:25', code: 450, lines: ['4.2.1 mailbox', 'busy'] },
      }
      const outcomes = new Map<number, Outcome>([
        [1, RELAYED],
        [2, DEFERRED],
        [3, answer],
      ])
      await store.settle(claim, { outcomes, retryAt: NOON + 5 * MINUTE, counted: true })
      const [entry] = await listing(store)
      expect(entry).toMatchObject({ dueAt: NOON + 5 * MINUTE, attempts: 1, claimed: false })
      expect(entry!.recipients.map((each) => [each.id, each.lastReply])).toEqual([
        [2, '451 4.3.0 Try later'],
        [3, '450 4.2.1 mailbox busy'],
        [4, undefined],
      ])
      expect(await claimDue(store, FIRST_LANE, NOON + 5 * MINUTE - 1)).toEqual([])
      const retry = await claimOne(store, FIRST_LANE, NOON + 5 * MINUTE)
      expect(retry.entry).toMatchObject({ attempts: 1, recipients: entry!.recipients })
    },
  },
  {
    title: 'a deferral that was no attempt is not counted, and keeps the last reply',
    async run({ store }) {
      await put(store, draft('a1'))
      await settleAll(store, await claimOne(store), DEFERRED, NOON)
      const claim = await claimOne(store)
      await store.settle(claim, { outcomes: new Map(), retryAt: NOON + MINUTE, counted: false })
      const [entry] = await listing(store)
      expect(entry).toMatchObject({ attempts: 1, dueAt: NOON + MINUTE })
      expect(entry!.recipients[0]!.lastReply).toBe('451 4.3.0 Try later')
    },
  },
  {
    title: 'what was put and claimed in one step is settled like anything else',
    async run({ store }) {
      const claim = { lanes: new Set([FIRST_LANE]), now: NOON, leaseMs: MINUTE }
      const [claimed] = await put(store, draft('a1', { to: ['ann@example.org', 'bob@example.org'] }), claim)
      await store.settle(claimed!, { outcomes: new Map([[1, RELAYED]]), retryAt: NOON + MINUTE, counted: true })
      const [entry] = await listing(store)
      expect(entry!.recipients.map((each) => each.id)).toEqual([2])
      const [retry] = await claimDue(store, FIRST_LANE, NOON + MINUTE)
      expect((await contentOf(retry!.message)).toString()).toContain('Hello')
      await settleAll(store, retry!, RELAYED)
      expect(await listing(store)).toEqual([])
    },
  },
  {
    title: 'settling twice is refused, one after the other and at once',
    async run({ store }) {
      await put(store, draft('a1'))
      const claim = await claimOne(store)
      await settleAll(store, claim, DEFERRED, NOON)
      await expect(settleAll(store, claim, RELAYED)).rejects.toMatchObject(LOST)
      expect(await listing(store)).toHaveLength(1)
      const next = await claimOne(store)
      const both = await Promise.allSettled([settleAll(store, next, RELAYED), settleAll(store, next, RELAYED)])
      expect(both.map((each) => each.status).sort()).toEqual(['fulfilled', 'rejected'])
      expect(await listing(store)).toEqual([])
    },
  },
  {
    title: 'a settlement and a claim after the lease’s end, at once, have one winner',
    async run({ store }) {
      for (let round = 0; round < 10; round++) {
        await put(store, draft(`a${round}`))
        const claim = await claimOne(store)
        const settling = settleAll(store, claim, round % 2 === 0 ? RELAYED : REFUSED).then(
          () => 'settled',
          () => 'lost',
        )
        const again = await claimDue(store, FIRST_LANE, claim.leaseUntil)
        expect(await settling).toBe(again.length === 0 ? 'settled' : 'lost')
        await store.remove({})
      }
    },
  },
  {
    title: 'a notice is put in the same change as the settlement that caused it',
    async run({ store }) {
      await put(store, draft('a1'))
      const claim = await claimOne(store)
      const notice = draft('b1', { sender: null, lane: NOTICE_LANE, to: ['sender@example.net'], arrivedAt: NOON + 1 })
      const also = { message: notice, source: letter('Your message could not be delivered\r\n') }
      await store.settle(claim, { outcomes: all(claim, REFUSED), retryAt: NOON, counted: true, also })
      expect(await ids(store)).toEqual(['b1'])
      const bounce = await claimOne(store, NOTICE_LANE)
      expect(bounce.entry.sender).toBeNull()
      expect((await contentOf(bounce.message)).toString()).toContain('could not be delivered')
      expect(await store.stats()).toMatchObject({ messages: 1, entries: 1, bytes: bounce.message.size })
    },
  },
  {
    title: 'a lost claim puts no notice',
    async run({ store }) {
      await put(store, draft('a1'))
      const claim = await claimOne(store)
      await store.remove({ messages: ['a1'] })
      const also = { message: draft('b1', { sender: null, lane: NOTICE_LANE }), source: letter() }
      const settlement = { outcomes: all(claim, REFUSED), retryAt: NOON, counted: true, also }
      await expect(store.settle(claim, settlement)).rejects.toMatchObject(LOST)
      expect(await ids(store)).toEqual([])
    },
  },
  {
    title: 'a notice may be large and may come with a partial settlement',
    async run({ store }) {
      await put(store, draft('a1', { to: ['ann@example.org', 'bob@example.org'] }))
      const claim = await claimOne(store)
      const also = {
        message: draft('b1', { sender: null, lane: NOTICE_LANE }),
        source: letter(Buffer.alloc(300_000, 97)),
      }
      const outcomes = new Map<number, Outcome>([
        [1, REFUSED],
        [2, DEFERRED],
      ])
      await store.settle(claim, { outcomes, retryAt: NOON + MINUTE, counted: true, also })
      expect(await ids(store)).toEqual(['a1', 'b1'])
      expect((await contentOf((await store.read('b1'))!)).length).toBe(300_017)
    },
  },
  {
    title: 'a message stays as long as one of its lanes has recipients',
    async run({ store }) {
      const entries = [newEntry(FIRST_LANE, ['ann@example.org']), newEntry(SECOND_LANE, ['bob@example.com'])]
      await put(store, draft('a1', { entries }))
      await settleAll(store, await claimOne(store, FIRST_LANE), RELAYED)
      await settleAll(store, await claimOne(store, SECOND_LANE), DEFERRED, NOON + MINUTE)
      expect(await store.stats()).toMatchObject({ messages: 1, entries: 1, bytes: 24, lanes: 1 })
      await settleAll(store, await claimOne(store, SECOND_LANE, NOON + MINUTE), REFUSED)
      expect(await store.stats()).toMatchObject({ messages: 0, entries: 0, bytes: 0, lanes: 0 })
    },
  },
  {
    title: 'the lanes of one message may be settled at the same moment',
    async run({ store }) {
      const lanes = ['smtp:a.example', 'smtp:b.example', 'smtp:c.example', 'smtp:d.example']
      await put(store, draft('a1', { entries: lanes.map((lane) => newEntry(lane, ['ann@example.org'])) }))
      const claims = await Promise.all(lanes.map((lane) => claimOne(store, lane)))
      await Promise.all(claims.map((claim) => settleAll(store, claim, RELAYED)))
      expect(await store.read('a1')).toBeUndefined()
      expect(await store.stats()).toMatchObject({ messages: 0, entries: 0, bytes: 0 })
    },
  },
]
