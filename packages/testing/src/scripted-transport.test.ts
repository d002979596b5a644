import { reply } from '@mailwright/core'
import { expect, it } from 'vitest'
import { manualClock } from './manual-clock.ts'
import { deferred, failed, outcomeOf } from './scripted-outcome.ts'
import { scriptedTransport } from './scripted-transport.ts'
import { settle } from './settle.ts'
import { testJob } from './test-mail.ts'

const call = { signal: new AbortController().signal }

it('gives each recipient its outcome, attempt by attempt', async () => {
  const smtp = scriptedTransport({
    outcomes: { 'Ann@example.org': ['450 4.2.0 greylisted', 'ok'], 'bob@example.org': '550 5.1.1 no such mailbox' },
  })
  const job = testJob({ to: ['ann@example.org', 'bob@example.org'] })
  const first = await smtp.deliver(job, call)
  expect(first.get(1)).toEqual({
    status: 'deferred',
    scope: 'recipient',
    reply: { code: 450, enhanced: '4.2.0', text: 'greylisted' },
  })
  expect(first.get(2)).toMatchObject({ status: 'failed', reply: { code: 550, enhanced: '5.1.1' } })
  expect(() => smtp.assertDone()).toThrow('not used: 1 more for ann@example.org')
  expect((await smtp.deliver(testJob({ attempt: 2 }), call)).get(1)).toMatchObject({ status: 'ok' })
  expect(smtp.jobs.map((one) => one.attempt)).toEqual([1, 2])
  expect(smtp.delivered).toEqual(['ann@example.org'])
  smtp.assertDone()
})

it('defers and names a recipient nobody wrote about, and one more attempt than written', async () => {
  const smtp = scriptedTransport({ name: 'smtp', outcomes: { 'ann@example.org': ['ok'] } })
  await smtp.deliver(testJob(), call)
  const second = await smtp.deliver(testJob({ to: ['ann@example.org', 'eve@example.org'], attempt: 2 }), call)
  expect([...second.values()].map((outcome) => outcome.status)).toEqual(['deferred', 'deferred'])
  expect(() => smtp.assertDone()).toThrow('unexpected: ann@example.org (attempt 2); unexpected: eve@example.org')
})

it('can take anybody, or decide by a function', async () => {
  const anybody = scriptedTransport({ outcomes: { '*': 'ok' } })
  expect((await anybody.deliver(testJob(), call)).get(1)).toMatchObject({ status: 'ok' })
  const byAttempt = scriptedTransport({
    outcomes: (_, job) => (job.attempt < 3 ? deferred('421 4.4.1 no answer', 'destination') : undefined),
  })
  expect((await byAttempt.deliver(testJob(), call)).get(1)).toMatchObject({ scope: 'destination' })
  await byAttempt.deliver(testJob({ attempt: 3 }), call)
  expect(byAttempt.unexpected).toEqual(['ann@example.org (attempt 3)'])
})

it('takes its time, several deliveries at once, and gives up when told to', async () => {
  const clock = manualClock(0)
  const slow = scriptedTransport({ outcomes: { '*': 'ok' }, takes: '10s', clock })
  const end = new AbortController()
  const given = slow.deliver(testJob(), { signal: end.signal })
  const waited = slow.deliver(testJob(), call)
  expect(slow.busy).toBe(2)
  end.abort(new Error('shutdown'))
  await expect(given).rejects.toThrow('shutdown')
  await clock.until(waited)
  expect([clock.now(), slow.busy, slow.mostBusy]).toEqual([10_000, 0, 2])
  await expect(slow.deliver(testJob(), { signal: end.signal })).rejects.toThrow('shutdown')
  expect(() => scriptedTransport({ takes: 1 })).toThrow('clock')
})

it('holds deliveries back until they are released', async () => {
  const smtp = scriptedTransport({ outcomes: { '*': 'ok' } })
  smtp.pause()
  const end = new AbortController()
  const given = smtp.deliver(testJob(), { signal: end.signal })
  let done = false
  const waiting = smtp.deliver(testJob(), call).then(() => {
    done = true
  })
  await settle()
  expect(done).toBe(false)
  end.abort(new Error('shutdown'))
  await expect(given).rejects.toThrow('shutdown')
  smtp.release()
  await waiting
})

it('refuses before DATA on request', () => {
  const smtp = scriptedTransport()
  expect(smtp.refusing?.()).toBeNull()
  smtp.refuse(reply(452, '4.3.1', 'full'))
  expect(smtp.refusing?.()).toMatchObject({ code: 452 })
})

it('reads outcomes from lines, and throws at what is no refusal', () => {
  expect(failed('554')).toMatchObject({ reply: { code: 554, enhanced: '5.0.0' } })
  expect(outcomeOf('421 try later')).toMatchObject({ reply: { code: 421, enhanced: '4.0.0', text: 'try later' } })
  expect(() => failed('550 4.1.1 mixed')).toThrow('not a refusal')
  expect(() => deferred('4 later')).toThrow('not a refusal')
})
