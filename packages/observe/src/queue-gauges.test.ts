import { expect, test } from 'vitest'
import { queueGauges } from './queue-gauges.ts'

const STATS = { messages: 3, entries: 5, held: 1, deferred: 4, claimed: 2, bytes: 6_000, lanes: 2, oldest: 1_000 }

test('a queue is told in gauges, and its fullest lanes', () => {
  const text = queueGauges(STATS, 61_500, [{ lane: 'smtp:"odd"', entries: 4, ages: [4] }])
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  expect(lines).toEqual([
    'mailwright_queue_messages 3',
    'mailwright_queue_entries 5',
    'mailwright_queue_deferred 4',
    'mailwright_queue_held 1',
    'mailwright_queue_claimed 2',
    'mailwright_queue_bytes 6000',
    'mailwright_queue_lanes 2',
    'mailwright_queue_oldest_seconds 60.5',
    'mailwright_queue_lane_entries{lane="smtp:\\"odd\\""} 4',
  ])
})

test('an empty queue is zero years old', () => {
  const { oldest: _, ...empty } = STATS
  expect(queueGauges(empty, 61_500)).toContain('\nmailwright_queue_oldest_seconds 0\n')
})
