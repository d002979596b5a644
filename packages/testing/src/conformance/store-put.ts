/** What `put`, `read` and `entries` owe each other. */
import { expect } from 'vitest'
import {
  CALL,
  claimDue,
  contentOf,
  draft,
  FIRST_LANE,
  ids,
  LEASE_MS,
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

const CLAIM_BOTH = { lanes: new Set([FIRST_LANE, SECOND_LANE]), now: NOON, leaseMs: LEASE_MS }

export const PUT_CASES: readonly StoreCase[] = [
  {
    title: 'a message put is listed and read as it was given',
    async run({ store }) {
      const message = draft('a1', {
        options: { body: '8bitmime', smtputf8: true, ret: 'hdrs', envid: 'QQ314159' },
        entries: [
          newEntry(FIRST_LANE, ['ann@example.org', 'bob@example.org']),
          newEntry(SECOND_LANE, ['cleo@example.com']),
        ],
      })
      await store.put(message, letter('Hello\r\n'), undefined, CALL)
      const shared = { message: 'a1', sender: message.sender, size: 24, arrivedAt: NOON, dueAt: NOON, attempts: 0 }
      expect(await listing(store)).toEqual([
        { ...shared, entry: 0, lane: FIRST_LANE, recipients: message.entries[0]!.recipients, claimed: false },
        { ...shared, entry: 1, lane: SECOND_LANE, recipients: message.entries[1]!.recipients, claimed: false },
      ])
      const stored = await store.read('a1')
      expect(stored?.size).toBe(24)
      expect((await contentOf(stored!)).toString()).toBe('Subject: test\r\n\r\nHello\r\n')
    },
  },
  {
    title: 'a message nobody put cannot be read',
    async run({ store }) {
      expect(await store.read('nosuch')).toBeUndefined()
    },
  },
  {
    title: 'the same id twice is one message, as first given, and gives no claims',
    async run({ store }) {
      await store.put(draft('a1'), letter('first'), undefined, CALL)
      const again = draft('a1', { lane: SECOND_LANE })
      expect(await store.put(again, letter('second'), CLAIM_BOTH, CALL)).toEqual([])
      expect((await contentOf((await store.read('a1'))!)).toString()).toContain('first')
      expect((await listing(store)).map((entry) => entry.lane)).toEqual([FIRST_LANE])
      expect(await store.stats()).toMatchObject({ messages: 1, entries: 1, claimed: 0, bytes: 22, lanes: 1 })
      expect(await claimDue(store)).toHaveLength(1)
    },
  },
  {
    title: 'the same id put twice at once is one message with one set of claims',
    async run({ store }) {
      const both = await Promise.all([put(store, draft('a1'), CLAIM_BOTH), put(store, draft('a1'), CLAIM_BOTH)])
      expect(both.map((claims) => claims.length).sort()).toEqual([0, 1])
      expect(await store.stats()).toMatchObject({ messages: 1, entries: 1, claimed: 1, bytes: 24 })
    },
  },
  {
    title: 'an id may be used again after its message has left',
    async run({ store }) {
      const [claim] = await put(store, draft('a1'), CLAIM_BOTH)
      await settleAll(store, claim!, RELAYED)
      expect(await put(store, draft('a1'), CLAIM_BOTH)).toHaveLength(1)
    },
  },
  {
    title: 'put hands out the entries whose lanes are asked for, claimed',
    async run({ store }) {
      const entries = [newEntry(FIRST_LANE, ['ann@example.org']), newEntry(SECOND_LANE, ['bob@example.com'])]
      const claims = await put(store, draft('a1', { entries }), { ...CLAIM_BOTH, lanes: new Set([SECOND_LANE]) })
      expect(claims).toHaveLength(1)
      expect(claims[0]).toMatchObject({
        entry: { message: 'a1', entry: 1, lane: SECOND_LANE, claimed: true, attempts: 0 },
        leaseUntil: NOON + LEASE_MS,
      })
      expect((await contentOf(claims[0]!.message)).toString()).toContain('Hello')
      expect(await claimDue(store, SECOND_LANE)).toEqual([])
      expect(await claimDue(store, FIRST_LANE)).toHaveLength(1)
    },
  },
  {
    title: 'put claims nothing that is held or not due yet',
    async run({ store }) {
      const entries = [
        newEntry(FIRST_LANE, ['ann@example.org'], NOON, 'quarantine'),
        newEntry(SECOND_LANE, ['bob@example.com'], NOON + MINUTE),
      ]
      expect(await put(store, draft('a1', { entries }), CLAIM_BOTH)).toEqual([])
      expect((await listing(store)).map((entry) => entry.claimed)).toEqual([false, false])
    },
  },
  {
    title: 'put rejects when the caller has given up, and stores nothing',
    async run({ store }) {
      const signal = AbortSignal.abort(new Error('lost client'))
      await expect(store.put(draft('a1'), letter(), undefined, { signal })).rejects.toThrow('lost client')
      expect(await ids(store)).toEqual([])
    },
  },
  {
    title: 'many messages put at once are all there',
    async run({ store }) {
      const names = Array.from({ length: 50 }, (_, index) => `m${String(index).padStart(3, '0')}`)
      await Promise.all(names.map((id) => put(store, draft(id, { lane: `smtp:${id}.example` }))))
      expect(await ids(store)).toEqual(names)
      expect(await store.stats()).toMatchObject({ messages: 50, entries: 50, lanes: 50, bytes: 50 * 24, oldest: NOON })
    },
  },
  {
    title: 'two entries of one message may share a lane',
    async run({ store }) {
      const entries = [newEntry(FIRST_LANE, ['ann@example.org']), newEntry(FIRST_LANE, ['bob@example.org'])]
      await put(store, draft('a1', { entries }))
      const claims = await claimDue(store)
      expect(claims.map((claim) => claim.entry.entry)).toEqual([0, 1])
      await settleAll(store, claims[0]!, RELAYED)
      expect(await store.read('a1')).toBeDefined()
      await settleAll(store, claims[1]!, RELAYED)
      expect(await store.read('a1')).toBeUndefined()
    },
  },
  {
    title: 'the null sender and addresses in UTF-8 come back as given',
    async run({ store }) {
      const recipient = {
        id: 7,
        address: { local: 'пользователь', domain: 'пример.рф' },
        original: { local: 'a "quoted" \\ one', domain: '[IPv6:2001:db8::1]' },
        orcpt: 'utf-8;ann\\x{2021}@example.org',
        notify: ['failure', 'delay'],
      } as const
      const entry = { lane: 'smtp:пример.рф', recipients: [recipient], dueAt: NOON }
      await put(store, draft('a1', { sender: null, entries: [entry] }))
      const [claim] = await claimDue(store, 'smtp:пример.рф')
      expect(claim!.entry.sender).toBeNull()
      expect(claim!.entry.recipients).toEqual([recipient])
    },
  },
  {
    title: 'an entry of many recipients keeps them all, in order',
    async run({ store }) {
      const to = Array.from({ length: 1_000 }, (_, index) => `user${index}@example.org`)
      await put(store, draft('a1', { to }))
      const [claim] = await claimDue(store)
      expect(claim!.entry.recipients.map((each) => each.address.local)).toEqual(to.map((each) => each.split('@')[0]))
    },
  },
]
