import { reply } from '@mailwright/core'
import {
  deferred,
  failed,
  mailbox,
  manualClock,
  type RecordedEvents,
  recipients,
  recordedEvents,
} from '@mailwright/testing'
import { expect, test } from 'vitest'
import { countEvents, type EventCounts } from './event-counts.ts'
import { accepted, ID, refused, session, settled } from './testing-support/sample-events.ts'

function counting(): { events: RecordedEvents; counts: EventCounts } {
  const events = recordedEvents(manualClock())
  return { events, counts: countEvents(events) }
}

test('messages, bytes and recipients are counted as they are accepted', () => {
  const { events, counts } = counting()
  events.emit(accepted({ size: 100 }))
  events.emit(accepted({ size: 50, recipients: recipients('a@example.org', 'b@example.org') }))
  expect(counts.counts()).toMatchObject({
    mailwright_messages_accepted_total: 2,
    mailwright_message_bytes_accepted_total: 150,
    mailwright_recipients_accepted_total: 3,
  })
})

test('recipients are counted by what became of them', () => {
  const { events, counts } = counting()
  events.emit(settled())
  events.emit(settled())
  events.emit(settled({ outcome: { status: 'deferred', scope: 'recipient', reply: reply(450, '4.2.0', 'later') } }))
  expect(counts.counts()).toMatchObject({
    'mailwright_recipients_settled_total{status="sent"}': 2,
    'mailwright_recipients_settled_total{status="deferred"}': 1,
    'mailwright_recipients_settled_total{status="bounced"}': 0,
  })
})

test('refusals are counted by stage, and invented stages cannot grow without end', () => {
  const { events, counts } = counting()
  events.emit(refused())
  events.emit(refused({ stage: 'data' }))
  for (let index = 0; index < 100; index++) events.emit(refused({ stage: `stage-${index}` }))
  const numbers = counts.counts()
  expect(numbers).toMatchObject({
    'mailwright_refusals_total{stage="rcpt"}': 1,
    'mailwright_refusals_total{stage="data"}': 1,
    'mailwright_refusals_total{stage="other"}': 78,
  })
  expect(Object.keys(numbers).length).toBeLessThan(50)
})

test('open sessions and dead lanes rise and fall, and never below zero', () => {
  const { events, counts } = counting()
  events.emit({ type: 'session.closed', session: session({ id: 'before' }), messages: 0 })
  events.emit({ type: 'session.opened', session: session() })
  events.emit({ type: 'lane.state', lane: 'smtp:a', state: 'dead' })
  events.emit({ type: 'lane.state', lane: 'smtp:a', state: 'dead' })
  expect(counts.counts()).toMatchObject({ mailwright_sessions_open: 1, mailwright_lanes_dead: 1 })
  events.emit({ type: 'session.closed', session: session(), messages: 1 })
  events.emit({ type: 'lane.state', lane: 'smtp:a', state: 'alive' })
  expect(counts.counts()).toMatchObject({
    mailwright_sessions_open: 0,
    mailwright_sessions_total: 1,
    mailwright_lanes_dead: 0,
  })
})

test('what reports from others tell is counted by kind', () => {
  const { events, counts } = counting()
  events.emit({ type: 'notice.received', kind: 'bounce', message: ID, signed: false })
  events.emit({ type: 'notice.received', kind: 'complaint', message: ID, signed: true })
  expect(counts.counts()).toMatchObject({
    'mailwright_notices_received_total{kind="bounce"}': 1,
    'mailwright_notices_received_total{kind="complaint"}': 1,
    'mailwright_notices_received_total{kind="delay"}': 0,
  })
})

test('what goes wrong is counted', () => {
  const { events, counts } = counting()
  const busy = reply(452, '4.3.1', 'full')
  events.emit({ type: 'connection.refused', client: { address: '192.0.2.7', port: 1 }, reply: busy, reason: 'x' })
  events.emit({ type: 'message.discarded', session: session(), message: ID, policy: 'spam' })
  events.emit({ type: 'message.bounced', message: ID, dsn: 'd', sender: mailbox('a@b.c'), recipients: [] })
  events.emit({ type: 'message.undeliverable', message: ID, recipients: [] })
  events.emit({ type: 'store.corrupt', message: ID, problem: 'x' })
  events.emit({ type: 'store.refusing', reply: busy })
  events.emit({ type: 'failure', where: 'x', error: null })
  expect(counts.counts()).toMatchObject({
    mailwright_connections_refused_total: 1,
    mailwright_messages_discarded_total: 1,
    mailwright_notices_total: 1,
    mailwright_undeliverable_total: 1,
    mailwright_store_corrupt_total: 1,
    mailwright_store_refusing: 1,
    mailwright_failures_total: 1,
  })
  events.emit({ type: 'store.refusing', reply: null })
  expect(counts.counts().mailwright_store_refusing).toBe(0)
})

test('what is suspended is a gauge, and what answers are about is counted', () => {
  const { events, counts } = counting()
  const scope = { kind: 'lane', lane: 'smtp:a' } as const
  events.emit({ type: 'queue.suspended', suspension: { scope, reason: 'x', since: 0 } })
  events.emit({ type: 'queue.suspended', suspension: { scope, reason: 'y', since: 0 } })
  expect(counts.counts().mailwright_queue_suspensions).toBe(1)
  events.emit({ type: 'queue.resumed', scope })
  expect(counts.counts().mailwright_queue_suspensions).toBe(0)
  const { outcome, ...about } = settled()
  expect(outcome.status).toBe('ok')
  events.emit({ ...about, outcome, category: 'other' })
  for (let times = 0; times < 2; times++) events.emit({ ...about, outcome: failed('550 x'), category: 'spam' })
  events.emit({ ...about, outcome: deferred('450 x'), category: 'spam' })
  expect(counts.counts()).toMatchObject({
    'mailwright_recipients_unserved_total{status="bounced",category="spam"}': 2,
    'mailwright_recipients_unserved_total{status="deferred",category="spam"}': 1,
  })
  expect(Object.keys(counts.counts()).filter((name) => name.includes('unserved'))).toHaveLength(2)
})

test('the Prometheus text announces each metric once and escapes labels', () => {
  const { events, counts } = counting()
  events.emit(refused({ stage: 'a"b\\c\nd' }))
  events.emit(refused())
  const text = counts.prometheus()
  expect(text).toContain(
    '# HELP mailwright_refusals_total Refusals in the dialogue, by stage.\n' +
      '# TYPE mailwright_refusals_total counter\n' +
      'mailwright_refusals_total{stage="a\\"b\\\\c\\nd"} 1\n' +
      'mailwright_refusals_total{stage="rcpt"} 1\n',
  )
  expect(text).toContain('# TYPE mailwright_sessions_open gauge\nmailwright_sessions_open 0\n')
  for (const line of text.trimEnd().split('\n'))
    expect(line).toMatch(/^(# (HELP|TYPE) mailwright_\w+ .+|mailwright_\w+(\{\w+="(\\.|[^"\\])*"\})? \d+)$/)
})

test('a queue tells how long ready mail has been waiting in vain', () => {
  const queue = { liveness: 0 }
  const counts = countEvents(recordedEvents(manualClock()), { queue })
  expect(counts.counts().mailwright_queue_stuck_ms).toBe(0)
  queue.liveness = 12_345.6
  expect(counts.prometheus()).toContain('# TYPE mailwright_queue_stuck_ms gauge\nmailwright_queue_stuck_ms 12346\n')
})

test('counting stops when told, and the numbers stay', () => {
  const { events, counts } = counting()
  events.emit(accepted())
  counts.stop()
  events.emit(accepted())
  expect(counts.counts().mailwright_messages_accepted_total).toBe(1)
})
