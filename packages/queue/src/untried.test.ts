import { type MailOptions, type Outcome, replyLine } from '@mailwright/core'
import { deferred, delivered, failed, testJob } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { retryAfter } from './retry.ts'
import { CALL, caredFor, type QueueBench } from './testing-support/queue-bench.ts'

const started = caredFor()
const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DOWN = deferred('451 4.4.1 no answer from mx.example.org', 'destination')

/** What became of mail, as text. */
function endings({ scope }: QueueBench): string[] {
  return scope.events.of('recipient.settled').map(({ outcome }) => `${outcome.status} ${replyLine(outcome.reply)}`)
}

describe('mail of a destination that cannot be reached', () => {
  it('is returned when its time is over, though the destination is tried only now and then', async () => {
    const given = { lifetime: '2h', bounceLifetime: '2h' } as const
    const bench = await started({ ...given, outcomes: { '*': DOWN }, retry: retryAfter('10m'), deadFor: '5m' })
    const { smtp, clock, entries, send } = bench
    for (let number = 0; number < 300; number++) await send({ sender: null })
    await clock.advance(119 * MINUTE)
    const before = smtp.jobs.length
    expect(await entries()).toHaveLength(100)
    await clock.advance(7 * MINUTE)
    expect(await entries()).toEqual([])
    // A first cohort may have found out that it is still dead.
    expect(smtp.jobs.length - before).toBeLessThan(20)
    const ends = endings(bench).filter((line) => line.startsWith('failed'))
    expect(ends).toHaveLength(300)
    expect(new Set(ends)).toEqual(
      new Set(['failed 550 5.4.7 Delivery time expired; last: 451 4.4.1 no answer from mx.example.org']),
    )
  })

  it('is tried once more when nobody knows that: a server that was away must not return everything', async () => {
    let outcome: Outcome = deferred('450 4.2.0 later')
    const bench = await started({ outcomes: () => outcome, lifetime: '2h', retry: retryAfter('3h') })
    await bench.send()
    outcome = delivered()
    await bench.clock.advance(2 * HOUR)
    expect(endings(bench)).toEqual(['deferred 450 4.2.0 later', 'ok 250 2.0.0 Ok'])
  })

  it('is tried again once the destination has answered anybody', async () => {
    let outcome: Outcome = DOWN
    const bench = await started({ outcomes: () => outcome, lifetime: '1h', retry: retryAfter('59m'), deadFor: '1m' })
    await bench.send()
    await bench.clock.advance(50 * MINUTE)
    outcome = delivered()
    await bench.send()
    await bench.clock.advance(20 * MINUTE)
    expect(endings(bench).slice(1)).toEqual(['ok 250 2.0.0 Ok', 'ok 250 2.0.0 Ok'])
  })
})

describe('mail with an end of its sender’s', () => {
  const within = (ms: number, otherwise: 'return' | 'notify', bench: QueueBench): { options: MailOptions } => ({
    options: { deliverBy: { at: bench.clock.now() + ms, otherwise, trace: false } },
  })

  it('is returned then, to the second, and not delivered any more', async () => {
    const bench = await started({
      outcomes: { 'ann@example.org': deferred('450 4.2.0 later'), '*': 'ok' },
      retry: retryAfter('1h'),
    })
    await bench.send({ to: ['ann@example.org'], ...within(10 * MINUTE, 'return', bench) })
    await bench.clock.advance(10 * MINUTE - 1)
    expect(endings(bench)).toEqual(['deferred 450 4.2.0 later'])
    await bench.clock.advance(1)
    expect(endings(bench).slice(0, 2)).toEqual([
      'deferred 450 4.2.0 later',
      'failed 550 5.4.7 Delivery time expired; last: 450 4.2.0 later',
    ])
    expect(bench.smtp.jobs.filter(({ envelope }) => envelope.sender !== null)).toHaveLength(1)
  })

  it('is not even tried when it comes too late to a slot', async () => {
    const bench = await started()
    await bench.send(within(0, 'return', bench))
    await bench.clock.settle()
    expect(endings(bench)[0]).toBe('failed 550 5.4.7 Delivery time expired')
    expect(bench.scope.events.of('message.bounced')).toHaveLength(1)
  })

  it('is tried then, reported and goes on, when its sender only wants to know', async () => {
    const bench = await started({
      outcomes: { 'ann@example.org': deferred('450 4.2.0 later'), '*': 'ok' },
      retry: retryAfter('1h'),
    })
    await bench.send({ to: ['ann@example.org'], ...within(10 * MINUTE, 'notify', bench) })
    await bench.clock.advance(10 * MINUTE)
    expect(endings(bench).slice(0, 2)).toEqual(['deferred 450 4.2.0 later', 'deferred 450 4.2.0 later'])
    expect(bench.scope.events.of('message.bounced')).toMatchObject([{ about: 'delay' }])
    expect(await bench.entries()).toMatchObject([{ dueAt: bench.clock.now() + HOUR, warned: true }])
  })
})

describe('mail that is to be released later', () => {
  it('is not sent earlier because an operator wants everything tried now', async () => {
    const bench = await started()
    const notBefore = bench.clock.now() + HOUR
    await bench.send({ options: { notBefore } })
    expect(await bench.queue.flush({})).toBe(1)
    await bench.clock.advance(MINUTE)
    expect(bench.smtp.jobs).toEqual([])
    expect(await bench.entries()).toMatchObject([{ dueAt: notBefore, attempts: 0 }])
    await bench.clock.advance(59 * MINUTE)
    expect(bench.smtp.delivered).toHaveLength(1)
  })

  it('is not sent earlier because its hold is over', async () => {
    const bench = await started()
    const notBefore = bench.clock.now() + HOUR
    await bench.queue.deliver({ ...testJob({ options: { notBefore } }), hold: 'asked by the sender' }, CALL)
    expect(await bench.queue.release({})).toBe(1)
    await bench.clock.advance(HOUR - 1)
    expect(bench.smtp.jobs).toEqual([])
    await bench.clock.advance(1)
    expect(bench.smtp.delivered).toHaveLength(1)
  })
})

describe('what answers are about', () => {
  it('is told with the outcome', async () => {
    const bench = await started({ outcomes: { '*': failed('550 5.1.1 no such user') } })
    await bench.send({ sender: null })
    await bench.clock.settle()
    expect(bench.scope.events.of('recipient.settled')).toMatchObject([{ category: 'unknown-recipient' }])
  })

  it('is not told of a delivery, nor when nobody is to read answers', async () => {
    const fine = await started()
    await fine.send()
    await fine.clock.settle()
    expect(fine.scope.events.of('recipient.settled').map(({ category }) => category)).toEqual([undefined])
    const deaf = await started({ outcomes: { '*': failed('550 5.1.1 no such user') }, classify: 'none' })
    await deaf.send({ sender: null })
    await deaf.clock.settle()
    expect(deaf.scope.events.of('recipient.settled').map(({ category }) => category)).toEqual([undefined])
  })

  it('may keep its whole destination from being tried for a while', async () => {
    let outcome: Outcome = deferred('451 4.7.500 Server busy')
    const bench = await started({
      outcomes: () => outcome,
      retry: retryAfter('1m'),
      reactions: { rate: { pause: '10m' } },
    })
    await bench.send()
    await bench.clock.settle()
    outcome = delivered()
    await bench.send()
    await bench.clock.advance(10 * MINUTE - 1)
    expect(bench.smtp.jobs).toHaveLength(1)
    await bench.clock.advance(1)
    expect(endings(bench).slice(1)).toEqual(['ok 250 2.0.0 Ok', 'ok 250 2.0.0 Ok'])
  })

  it('may keep an address from being written to again, once that is settled', async () => {
    const added: unknown[] = []
    const suppressions = {
      find: () => undefined,
      add: async (suppression: unknown) => void added.push(suppression),
      remove: async () => false,
      list: async () => [],
    }
    const bench = await started({
      outcomes: { 'ann@example.org': failed('550 5.1.1 no such user') },
      reactions: { 'unknown-recipient': { suppress: '30d' } },
      suppressions,
    })
    await bench.send({ to: ['ann@example.org'] })
    await bench.clock.settle()
    const now = bench.clock.now()
    expect(added).toEqual([
      {
        address: { local: 'ann', domain: 'example.org' },
        cause: 'bounce',
        reason: '550 5.1.1 no such user',
        since: now,
        until: now + 30 * 24 * HOUR,
      },
    ])
  })

  it('needs a list where it is to suppress', async () => {
    await expect(started({ reactions: { block: { suppress: '1d' } } })).rejects.toThrow('no suppressions')
  })

  it('does not stop the mail when the list of suppressions fails', async () => {
    const suppressions = {
      find: () => undefined,
      add: () => Promise.reject(new Error('no disk')),
      remove: async () => false,
      list: async () => [],
    }
    const bench = await started({
      outcomes: { 'ann@example.org': failed('550 5.1.1 no such user') },
      reactions: { 'unknown-recipient': { suppress: 'for-good' } },
      suppressions,
    })
    await bench.send({ to: ['ann@example.org'], sender: null })
    await bench.clock.settle()
    expect(bench.failures()).toEqual(['suppressing an address that failed'])
    expect(await bench.entries()).toEqual([])
  })
})
