import { laneKey, type QueueStore } from '@mailwright/core'
import { deferred } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { memoryStore } from './memory-store.ts'
import { retryAfter } from './retry.ts'
import { faultyStore } from './testing-support/faulty-store.ts'
import { CALL, caredFor, queueBench, startedQueue } from './testing-support/queue-bench.ts'

const MINUTE = 60_000
const DOWN = deferred('421 4.4.1 no answer', 'destination')
const started = caredFor()

describe('a destination that cannot take much at once', () => {
  it('gets five messages at first, and never more than twenty', async () => {
    const { send, smtp, clock, entries } = await started({ takes: '1s' })
    for (let message = 0; message < 120; message++) await send()
    expect(smtp.busy).toBe(5)
    await clock.advance('1s')
    expect(smtp.busy).toBe(10)
    await clock.advance('20s')
    expect(smtp.delivered).toHaveLength(120)
    expect(smtp.mostBusy).toBe(20)
    expect(await entries()).toEqual([])
  })

  it('does not keep others from their mail, and all together stay within the limit', async () => {
    const { send, smtp, clock } = await started({ maxAttempts: 3, initialConcurrency: 2, concurrencyLimit: 2 })
    smtp.pause()
    for (let message = 0; message < 4; message++) await send({ to: ['ann@slow.example'] })
    await send({ to: ['bob@fast.example'] })
    await send({ to: ['eve@other.example'] })
    expect(smtp.jobs.map(({ lane }) => lane?.destination)).toEqual(['slow.example', 'slow.example', 'fast.example'])
    smtp.release()
    await clock.settle()
    expect(smtp.delivered).toHaveLength(6)
    expect(smtp.mostBusy).toBe(3)
  })

  it('does not keep others waiting until its backlog is done, though it holds every slot there is', async () => {
    const { send, smtp, clock } = await started({
      maxAttempts: 2,
      initialConcurrency: 1,
      concurrencyLimit: 1,
      takes: '1s',
    })
    for (let message = 0; message < 60; message++)
      for (const domain of ['big.example', 'huge.example']) await send({ to: [`ann@${domain}`] })
    await send({ to: ['bob@small.example'] })
    await clock.advance('5s')
    expect(smtp.delivered).toContain('bob@small.example')
    await clock.advance('2m')
    expect(smtp.delivered).toHaveLength(121)
    expect(smtp.mostBusy).toBe(2)
  })

  it('does not keep mail waiting whose time for another attempt comes meanwhile', async () => {
    const { send, smtp, clock } = await started({
      maxAttempts: 1,
      initialConcurrency: 1,
      concurrencyLimit: 1,
      takes: '1s',
      outcomes: { 'bob@small.example': ['450 4.2.0 later', 'ok'], '*': 'ok' },
      retry: retryAfter('10s'),
    })
    await send({ to: ['bob@small.example'] })
    await clock.advance('1s')
    for (let message = 0; message < 80; message++) await send({ to: ['ann@big.example'] })
    await clock.advance('15s')
    expect(smtp.delivered).toContain('bob@small.example')
    await clock.advance('2m')
    expect(smtp.delivered).toHaveLength(81)
  })
})

describe('a destination that is down', () => {
  it('is tried at once when an operator of another process wants it, but not for mail by other hands', async () => {
    let up = false
    let tell: (by: 'operator' | 'mail') => void = () => undefined
    const { store } = faultyStore()
    const watched: QueueStore = {
      ...store,
      onArrival(listener) {
        tell = listener
        return store.onArrival(listener)
      },
    }
    const { send, smtp, clock } = await started({ store: watched, outcomes: () => (up ? 'ok' : DOWN) })
    for (let message = 0; message < 6; message++) await send({ to: ['ann@down.example'] })
    await clock.settle()
    up = true
    const before = smtp.jobs.length
    tell('mail')
    await clock.settle()
    expect(smtp.jobs).toHaveLength(before)
    tell('operator')
    await clock.settle()
    expect(smtp.jobs.length).toBeGreaterThan(before)
  })

  it('is tried by a few messages every five minutes, and by all when it is back', async () => {
    let up = false
    const { send, smtp, clock, scope, entries } = await started({
      outcomes: (recipient) => (recipient.address.domain === 'down.example' && !up ? DOWN : 'ok'),
    })
    for (let message = 0; message < 30; message++) await send({ to: ['ann@down.example'] })
    await clock.settle()
    expect(smtp.jobs.length).toBeLessThanOrEqual(5)
    expect(scope.events.of('lane.state')).toEqual([
      { type: 'lane.state', lane: 'smtp:down.example', state: 'dead', until: clock.now() + 5 * MINUTE },
    ])

    const before = smtp.jobs.length
    await send({ to: ['ann@down.example'] })
    await clock.advance('4m')
    expect(smtp.jobs).toHaveLength(before)
    await clock.advance('1m')
    expect(smtp.jobs.length - before).toBeLessThanOrEqual(5)

    up = true
    await clock.advance('15m')
    expect(smtp.delivered).toHaveLength(31)
    expect(scope.events.of('lane.state').at(-1)).toMatchObject({ state: 'alive' })
    expect(await entries()).toEqual([])
  })

  it('does not delay anybody else', async () => {
    const { send, smtp, clock } = await started({
      outcomes: { 'ann@down.example': DOWN, '*': 'ok' },
      maxAttempts: 5,
    })
    for (let message = 0; message < 20; message++) await send({ to: ['ann@down.example'] })
    await send({ to: ['bob@up.example'] })
    await clock.settle()
    expect(smtp.delivered).toEqual(['bob@up.example'])
  })

  it('is tried at once when an operator flushes the queue', async () => {
    let up = false
    const { send, smtp, clock, queue } = await started({ outcomes: () => (up ? 'ok' : DOWN) })
    for (let message = 0; message < 8; message++) await send()
    await clock.settle()
    up = true
    await queue.flush({ lane: laneKey({ transport: 'smtp', destination: 'example.org' }) })
    await clock.settle()
    expect(smtp.delivered).toHaveLength(8)
  })
})

describe('other hands on the store', () => {
  it('are noticed when the store says that something has arrived', async () => {
    const { store, smtp, clock, send } = await started({ outcomes: { '*': ['450 4.2.0 later', 'ok'] } })
    await send()
    await clock.settle()
    await store.reschedule({}, clock.now())
    await clock.settle()
    expect(smtp.delivered).toHaveLength(1)
  })

  it('that died with mail in hand are followed up when the lease is over', async () => {
    const { store, smtp, clock, send } = await started({ outcomes: { '*': ['450 4.2.0 later', 'ok'] }, lease: '10m' })
    await send()
    await clock.settle()
    // Another worker takes the mail when it is due, a moment before we do, and is never heard of again.
    const dueAt = clock.now() + 5 * MINUTE
    await clock.advanceTo(dueAt - 1)
    const [taken] = await store.claim({ lane: 'smtp:example.org', now: dueAt, limit: 1, leaseMs: 10 * MINUTE })
    expect(taken).toBeDefined()
    await clock.advance('9m')
    expect(smtp.jobs).toHaveLength(1)
    await clock.advance('11m')
    expect(smtp.delivered).toHaveLength(1)
  })
})

describe('a store in trouble', () => {
  it('at a put refuses the message for now, and no slot is lost', async () => {
    const { send, smtp, clock, faults, failures } = await started({ maxAttempts: 1 })
    faults.fail('put', 3)
    for (let message = 0; message < 3; message++)
      expect((await send()).get(1)).toMatchObject({ status: 'deferred', reply: { code: 451 } })
    await send()
    await clock.settle()
    expect(smtp.delivered).toHaveLength(1)
    expect(failures()).toEqual(['storing of m1', 'storing of m2', 'storing of m3'])
  })

  it.each(['claim', 'lanes', 'nextDue'] as const)(
    'at %s is asked again a second later, and no mail is lost',
    async (call) => {
      const { send, smtp, clock, faults, failures, entries } = await started({
        initialConcurrency: 1,
        concurrencyLimit: 1,
        lease: '1m',
      })
      smtp.pause()
      faults.fail(call)
      // More than is claimed ahead, so that some of it has to be asked for.
      for (let message = 0; message < 60; message++) await send()
      smtp.release()
      await clock.advance('5m')
      expect(failures()).toContain(call === 'claim' ? 'claiming the queue' : 'surveying the queue')
      faults.recover(call)
      await clock.advance('10m')
      expect(smtp.delivered).toHaveLength(60)
      expect(failures().length).toBeLessThan(400)
      expect(await entries()).toEqual([])
    },
  )

  it('when the queue starts is asked until it tells what waits', async () => {
    const store = memoryStore()
    const first = await startedQueue({ store, outcomes: { '*': '450 4.2.0 later' } })
    await first.send()
    await first.end()
    const second = queueBench({ store })
    await started(second)
    await second.clock.advance('1d')
    second.faults.fail('lanes', 3)
    await second.queue.start!(CALL)
    await second.clock.advance('2s')
    expect(second.smtp.delivered).toEqual([])
    await second.clock.advance('1s')
    expect(second.smtp.delivered).toEqual(['ann@example.org'])
    expect(second.failures()).toEqual(Array(3).fill('surveying the queue'))
  })

  it('at a settlement keeps what is delivered from being delivered again', async () => {
    const { send, smtp, clock, faults, entries } = await started({ lease: '1m' })
    faults.fail('settle')
    await send()
    await clock.advance('30m')
    faults.recover('settle')
    await clock.advance('1m')
    expect(smtp.delivered).toEqual(['ann@example.org'])
    expect(await entries()).toEqual([])
  })

  it('that answers late does not lose mail that arrives or falls due meanwhile', async () => {
    const { send, smtp, clock, faults, entries } = await started({
      initialConcurrency: 1,
      concurrencyLimit: 1,
      outcomes: { '*': Array(6).fill('450 4.2.0 later').concat(Array(20).fill('ok')) },
      retry: retryAfter('1m'),
    })
    smtp.pause()
    for (let message = 0; message < 3; message++) await send()
    faults.delay('claim')
    faults.delay('lanes')
    smtp.release()
    for (let round = 0; round < 6; round++) {
      await clock.advance('50s')
      await send()
      faults.letGo('claim')
      await clock.settle()
      faults.letGo('lanes')
      await clock.settle()
      faults.delay('claim')
      faults.delay('lanes')
    }
    faults.letGo('claim')
    faults.letGo('lanes')
    await clock.advance('3m')
    expect(smtp.delivered).toHaveLength(9)
    expect(await entries()).toEqual([])
  })

  it('that is full says so before the message is sent', async () => {
    const { queue } = await started({ store: memoryStore({ maxBytes: 0 }) })
    expect(queue.refusing!()).toMatchObject({ code: 452 })
    expect(queue.spool).toBeDefined()
    await queue.spool!().abort()
  })
})

describe('an attempt that takes long', () => {
  it('keeps its lease for as long as it takes', async () => {
    const { send, smtp, store, clock, faults } = await started({ lease: '3m' })
    smtp.pause()
    await send()
    for (let minute = 0; minute < 60; minute++) {
      await clock.advance('1m')
      expect(await store.claim({ lane: 'smtp:example.org', now: clock.now(), limit: 1, leaseMs: 1 })).toEqual([])
    }
    expect(faults.count('renew')).toBe(60)
    smtp.release()
    await clock.settle()
    expect(smtp.delivered).toHaveLength(1)
    await clock.advance('1h')
    expect(faults.count('renew')).toBeLessThanOrEqual(61)
  })

  it('is told of by an event when its lease cannot be renewed, and goes on', async () => {
    const { send, smtp, clock, faults, failures, queue } = await started({ lease: '3m' })
    smtp.pause()
    await send()
    faults.fail('renew', 1)
    await clock.advance('1m')
    expect(failures()).toEqual(['renewing a lease'])
    await queue.remove({})
    await clock.advance('1m')
    expect(failures()).toHaveLength(1)
    smtp.release()
    await clock.settle()
    expect(smtp.delivered).toHaveLength(1)
  })
})

describe('a store that does not claim all it takes', () => {
  it('is asked for the rest: the slots are used, and no mail waits', async () => {
    const { store: inner } = faultyStore()
    const store: QueueStore = {
      ...inner,
      put: (message, source, claim, call) =>
        inner.put(message, source, claim && { ...claim, lanes: new Set(['smtp:example.org']) }, call),
    }
    const { send, smtp, clock, faults } = await started({ store })
    await send({ to: ['ann@example.org', 'bob@example.com'] })
    await clock.settle()
    expect(faults.count('claim')).toBe(1)
    expect(smtp.delivered).toEqual(['ann@example.org', 'bob@example.com'])
  })
})
