/**
 * Random histories of a queue, checked against the model after every step: whatever puts, claims, settlements, operators
 * and restarts do one after the other, the store says what a plain list of entries would say.
 */
import {
  type Claim,
  INSTRUCTED_LANE,
  type Instruction,
  type NewEntry,
  type NewMessage,
  type Outcome,
  type QueueStore,
  remainingRecipients,
  type Selection,
  type Settlement,
  type SuspensionScope,
} from '@mailwright/core'
import fc from 'fast-check'
import { expect } from 'vitest'
import { CALL, DEFERRED, letter, newEntry, REFUSED, RELAYED } from './store-fixture.ts'
import { type StoreModel, storeModel } from './store-model.ts'

/** Small worlds, so that steps meet: a few lanes, times of one digit, six ids. */
const LANES = ['smtp:a', 'smtp/bulk:a', 'smtp:b', 'local:']
const OUTCOMES: readonly Outcome[] = [RELAYED, REFUSED, DEFERRED]
const INSTRUCTIONS: readonly Instruction[] = [
  { kind: 'requeue' },
  { kind: 'reroute', lane: 'smtp:b' },
  { kind: 'expire' },
]
const SCOPES: readonly SuspensionScope[] = [
  { kind: 'everything' },
  { kind: 'lane', lane: 'smtp:a' },
  { kind: 'label', label: 'tenant', value: 'acme' },
]
const LABELS = [{ tenant: 'acme' }, { tenant: 'acme', campaign: 'spring' }, { tenant: 'other' }]
const SENDERS = [null, { local: 'Sender', domain: 'example.net' }]

const time = fc.integer({ min: 0, max: 9 })
const lane = fc.constantFrom(...LANES)
const laneSet = fc.uniqueArray(fc.constantFrom(...LANES, INSTRUCTED_LANE), { maxLength: 3 })
const id = fc.integer({ min: 1, max: 6 }).map((number) => `m${number}`)
const selection: fc.Arbitrary<Selection> = fc.record(
  {
    messages: fc.array(id, { maxLength: 2 }),
    entries: fc.array(fc.record({ message: id, entry: fc.nat(2) }), { maxLength: 4 }),
    lane,
    sender: fc.constantFrom('', 'sender@EXAMPLE.net'),
    recipient: fc.constantFrom('ann@example.org', '@example.com'),
    held: fc.boolean(),
    status: fc.constantFrom('held', 'claimed', 'deferred', 'waiting'),
    labels: fc.constantFrom({ tenant: 'acme' }, { campaign: 'spring', tenant: 'acme' }),
    arrivedBefore: time,
    arrivedSince: time,
    atLeast: fc.integer({ min: 15, max: 55 }),
    atMost: fc.integer({ min: 15, max: 55 }),
    lastReply: fc.constantFrom('try LATER', 'nothing'),
  },
  { requiredKeys: [] },
)
const entry = fc.record({
  lane,
  to: fc.integer({ min: 1, max: 3 }),
  dueAt: time,
  held: fc.option(fc.constant('spam'), { freq: 4 }),
})
const message = fc.record({
  id,
  sender: fc.constantFrom(...SENDERS),
  labels: fc.option(fc.constantFrom(...LABELS), { freq: 2 }),
  entries: fc.array(entry, { minLength: 1, maxLength: 3 }),
})

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('put' as const),
      message,
      size: fc.integer({ min: 0, max: 40 }),
      claim: fc.option(laneSet),
      now: time,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('claim' as const),
      lane: fc.constantFrom(...LANES, INSTRUCTED_LANE),
      now: time,
      limit: fc.integer({ min: 1, max: 3 }),
      leaseMs: fc.integer({ min: 1, max: 6 }),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('settle' as const),
      which: fc.nat(20),
      outcomes: fc.array(fc.option(fc.nat(2)), { minLength: 3, maxLength: 3 }),
      retryAt: time,
      counted: fc.boolean(),
      warned: fc.option(fc.constant(true as const), { freq: 3 }),
      moved: fc.option(fc.array(entry, { minLength: 1, maxLength: 2 }), { freq: 3 }),
      notice: fc.option(message, { freq: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('renew' as const), which: fc.nat(20), until: time }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('hold' as const), selection }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('release' as const), selection, now: time }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reschedule' as const), selection, dueAt: time }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('instruct' as const),
      selection,
      instruction: fc.constantFrom(...INSTRUCTIONS),
      now: time,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('suspend' as const),
      scope: fc.constantFrom(...SCOPES),
      since: time,
      until: fc.option(time, { nil: undefined }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('resume' as const), scope: fc.constantFrom(...SCOPES) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('remove' as const), selection }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('look' as const),
      now: time,
      exclude: laneSet,
      limit: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reopen' as const) }) },
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never
type Draft = typeof message extends fc.Arbitrary<infer T> ? T : never

const PEOPLE = ['ann@example.org', 'bob@example.com', 'cleo@example.net']

function messageOf({ id: name, sender, labels, entries }: Draft): NewMessage {
  const list = entries.map((each) => newEntry(each.lane, PEOPLE.slice(0, each.to), each.dueAt, each.held ?? undefined))
  // Ids are in order of arrival by contract: the number in the name is the time it came.
  const options = labels === null ? {} : { labels }
  return { id: name, sender, options, arrivedAt: Number(name.slice(1)), entries: list }
}

/** One store being compared with the model. */
export interface Subject {
  readonly store: QueueStore
  /** The store after closing and opening again; absent where it cannot. */
  readonly reopen?: () => Promise<QueueStore>
}

export interface PropertyOptions {
  readonly runs: number
  readonly seed: number
}

/** Runs random histories, each on a fresh subject. */
export async function checkHistories(
  withSubject: (check: (subject: Subject) => Promise<void>) => Promise<void>,
  { runs, seed }: PropertyOptions,
): Promise<void> {
  const property = fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), (steps) =>
    withSubject((subject) => play(subject, steps)),
  )
  await fc.assert(property, { numRuns: runs, seed })
}

async function play(subject: Subject, steps: readonly Step[]): Promise<void> {
  const model = storeModel()
  const claims: Claim[] = []
  let { store } = subject
  for (const each of steps) {
    if (each.do === 'reopen') {
      if (subject.reopen === undefined) continue
      store = await subject.reopen()
      model.reopen()
    } else await take(store, model, claims, each)
    await compare(store, model)
  }
}

async function take(
  store: QueueStore,
  model: StoreModel,
  claims: Claim[],
  each: Exclude<Step, { do: 'reopen' }>,
): Promise<void> {
  switch (each.do) {
    case 'put': {
      const given = messageOf(each.message)
      const source = letter(Buffer.alloc(each.size, 120))
      const lanes = each.claim === null ? undefined : new Set(each.claim)
      const got = await store.put(given, source, lanes && { lanes, now: each.now, leaseMs: 5 }, CALL)
      if (!model.put(given, source.size)) expect(got).toEqual([])
      else expect(model.claimedByPut(got, given, lanes ?? new Set(), each.now)).toBeUndefined()
      claims.push(...got)
      return
    }
    case 'claim': {
      const got = await store.claim({ lane: each.lane, now: each.now, limit: each.limit, leaseMs: each.leaseMs })
      model.endLeases(each.now)
      expect(model.claimed(got, each.lane, each.now, each.limit)).toBeUndefined()
      claims.push(...got)
      return
    }
    case 'settle': {
      const claim = claims[each.which % Math.max(claims.length, 1)]
      if (claim === undefined) return
      const settlement = settlementOf(claim, each)
      if (model.holds(claim)) {
        await store.settle(claim, settlement)
        model.settle(claim, settlement, NOTICE.size)
      } else await expect(store.settle(claim, settlement)).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_CLAIM_LOST' })
      return
    }
    case 'renew': {
      const claim = claims[each.which % Math.max(claims.length, 1)]
      if (claim === undefined) return
      if (model.holds(claim)) {
        await store.renew(claim, each.until)
        model.renew(claim, each.until)
      } else await expect(store.renew(claim, each.until)).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_CLAIM_LOST' })
      return
    }
    case 'hold':
      expect(await store.hold(each.selection, 'operator')).toBe(model.hold(each.selection, 'operator'))
      return
    case 'release':
      expect(await store.release(each.selection, each.now)).toBe(model.release(each.selection, each.now))
      return
    case 'reschedule':
      expect(await store.reschedule(each.selection, each.dueAt)).toBe(model.reschedule(each.selection, each.dueAt))
      return
    case 'instruct': {
      const { selection: meant, instruction, now } = each
      expect(await store.instruct(meant, instruction, now)).toBe(model.instruct(meant, instruction, now))
      return
    }
    case 'suspend': {
      const suspension = { scope: each.scope, reason: 'operator', since: each.since, until: each.until }
      await store.suspend(suspension)
      model.suspend(suspension)
      return
    }
    case 'resume':
      expect(await store.resume(each.scope)).toBe(model.resume(each.scope))
      return
    case 'remove':
      expect(await store.remove(each.selection)).toBe(model.remove(each.selection))
      return
    case 'look': {
      const exclude = new Set(each.exclude)
      const got = await store.lanes({ now: each.now, limit: each.limit, exclude })
      model.endLeases(each.now)
      const expected = model.lanes(each.now, exclude)
      expect(got.map((due) => due.dueAt)).toEqual(expected.slice(0, each.limit).map((due) => due.dueAt))
      for (const due of got) expect(expected).toContainEqual(due)
      expect(await store.nextDue(exclude)).toBe(model.nextDue(exclude))
    }
  }
}

const NOTICE = letter('notice')

function settlementOf(claim: Claim, each: Extract<Step, { do: 'settle' }>): Settlement {
  const outcomes = new Map<number, Outcome>()
  for (const [index, recipient] of claim.entry.recipients.entries()) {
    const chosen = each.outcomes[index % 3]
    if (chosen !== null && chosen !== undefined) outcomes.set(recipient.id, OUTCOMES[chosen]!)
  }
  const also = each.notice === null ? undefined : { message: messageOf(each.notice), source: NOTICE }
  const moved = each.moved === null ? undefined : entriesFor(claim, outcomes, each.moved)
  return { outcomes, retryAt: each.retryAt, counted: each.counted, moved, warned: each.warned ?? undefined, also }
}

/** Those who stay, in turn into one of the entries drawn; one that gets nobody is left out. */
function entriesFor(
  claim: Claim,
  outcomes: ReadonlyMap<number, Outcome>,
  drawn: readonly (typeof entry extends fc.Arbitrary<infer T> ? T : never)[],
): readonly NewEntry[] {
  const staying = remainingRecipients(claim.entry.recipients, outcomes)
  return drawn
    .map((each, turn) => ({
      lane: each.lane,
      recipients: staying.filter((_, index) => index % drawn.length === turn),
      dueAt: each.dueAt,
      held: each.held ?? undefined,
    }))
    .filter((each) => each.recipients.length > 0)
}

async function compare(store: QueueStore, model: StoreModel): Promise<void> {
  expect(await store.entries({ limit: 1_000 })).toEqual(model.listing())
  expect(await store.stats()).toEqual(model.stats())
  const shape = await store.shape({ now: 9, ages: [3_600_000], limit: 100 })
  expect([...shape].sort((one, other) => (one.lane < other.lane ? -1 : 1))).toEqual(model.shape())
  expect(await store.suspensions()).toEqual(model.suspensions())
  expect(await store.nextDue()).toBe(model.nextDue(new Set()))
}
