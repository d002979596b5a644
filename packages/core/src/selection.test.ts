import { expect, it } from 'vitest'
import { claimLane, entryStatus, INSTRUCTED_LANE, isSelected } from './selection.ts'
import type { QueueEntry, Selection } from './store.ts'

const ANN = { local: 'Ann', domain: 'example.org' }
const ENTRY: QueueEntry = {
  message: 'm1',
  entry: 2,
  lane: 'smtp/bulk:example.org',
  sender: { local: 'sender', domain: 'example.net' },
  recipients: [{ id: 1, address: ANN, original: ANN, lastReply: '451 4.7.1 Greylisted' }],
  size: 1_000,
  arrivedAt: 5_000,
  dueAt: 6_000,
  attempts: 1,
  labels: { tenant: 'acme' },
  claimed: false,
}

it.each<readonly [Selection, Selection]>([
  [{ messages: ['m1'] }, { messages: ['m2'] }],
  [
    { entries: [{ message: 'm1', entry: 2 }] },
    {
      entries: [
        { message: 'm1', entry: 1 },
        { message: 'm2', entry: 2 },
      ],
    },
  ],
  [{ lane: 'smtp/bulk:example.org' }, { lane: 'smtp/other:example.org' }],
  [{ lane: 'smtp:example.org' }, { lane: 'smtp:example.com' }],
  [{ sender: 'SENDER@example.net' }, { sender: '' }],
  [{ recipient: 'ann@example.org' }, { recipient: 'bob@example.org' }],
  [{ recipient: '@example.org' }, { recipient: '@example' }],
  [{ held: false }, { held: true }],
  [{ status: 'deferred' }, { status: 'waiting' }],
  [{ labels: { tenant: 'acme' } }, { labels: { tenant: 'acme', campaign: 'spring' } }],
  [{ arrivedBefore: 5_001 }, { arrivedBefore: 5_000 }],
  [{ arrivedSince: 5_000 }, { arrivedSince: 5_001 }],
  [{ atLeast: 1_000 }, { atLeast: 1_001 }],
  [{ atMost: 1_000 }, { atMost: 999 }],
  [{ lastReply: 'greyLISTED' }, { lastReply: 'mailbox full' }],
])('an entry is meant by %j and not by %j', (meaning, other) => {
  expect(isSelected(meaning, ENTRY)).toBe(true)
  expect(isSelected(other, ENTRY)).toBe(false)
  expect(isSelected({ ...meaning, ...other }, ENTRY)).toBe(false)
})

it('an entry is held before it is anything else, and deferred only between attempts', () => {
  const fresh = { held: undefined, claimed: false, attempts: 0 }
  expect(entryStatus(fresh)).toBe('waiting')
  expect(entryStatus({ ...fresh, attempts: 1 })).toBe('deferred')
  expect(entryStatus({ ...fresh, attempts: 1, claimed: true })).toBe('claimed')
  expect(entryStatus({ ...fresh, claimed: true, held: 'spam' })).toBe('held')
})

it('an entry with an instruction is claimed from the lane for those', () => {
  expect(claimLane(ENTRY)).toBe('smtp/bulk:example.org')
  expect(claimLane({ ...ENTRY, instruction: { kind: 'expire' } })).toBe(INSTRUCTED_LANE)
})
