import { type Block, type Lifecycle, laneKey, type QueueStore, reply, type Transport } from '@mailwright/core'
import { deferred, delivered, mailbox, testEnvironment, testJob, testScope } from '@mailwright/testing'
import { afterEach, describe, expect, it } from 'vitest'
import { memoryStore } from './memory-store.ts'
import { type MessageQueueOptions, messageQueue } from './message-queue.ts'
import { retryAfter } from './retry.ts'
import { faultyStore } from './testing-support/faulty-store.ts'
import {
  addressees,
  type BenchOptions,
  CALL,
  type QueueBench,
  queueBench,
  routerOf,
  startedQueue,
} from './testing-support/queue-bench.ts'

const MINUTE = 60_000
const DOWN = deferred('421 4.4.1 no answer', 'destination')

const benches: QueueBench[] = []

/** A started queue; after the test it is stopped, and nothing of it may be left running. */
async function started(options: BenchOptions = {}): Promise<QueueBench> {
  const bench = await startedQueue(options)
  benches.push(bench)
  return bench
}

afterEach(async () => {
  for (const bench of benches.splice(0)) {
    await bench.end()
    expect(bench.clock.pending).toBe(0)
    expect(bench.smtp.busy).toBe(0)
    expect(bench.faults.listeners).toBe(0)
  }
})

describe('mail that gets through', () => {
  it('is delivered from the hand that took it, without asking the store again', async () => {
    const { send, smtp, faults, clock, entries } = await started()
    const outcomes = await send({ to: ['ann@example.org', 'bob@example.org'] })
    expect([...outcomes.values()].map(({ status }) => status)).toEqual(['ok', 'ok'])
    await clock.settle()
    expect(smtp.delivered).toEqual(['ann@example.org', 'bob@example.org'])
    expect(faults.count('claim')).toBe(0)
    expect(await entries()).toEqual([])
  })

  it('goes out by as many lanes as it has destinations, each tried alone', async () => {
    const { send, smtp, clock } = await started({
      outcomes: { 'ann@example.org': ['450 4.2.0 later', 'ok'], 'bob@example.com': ['ok'] },
      retry: retryAfter('5m'),
    })
    await send({ to: ['ann@example.org', 'bob@example.com'] })
    await clock.advance('5m')
    expect(smtp.jobs.map(addressees)).toEqual([['ann@example.org'], ['bob@example.com'], ['ann@example.org']])
    smtp.assertDone()
  })

  it('goes in lots of at most the recipients one attempt may have', async () => {
    const { send, smtp, clock } = await started({ recipientLimit: 2 })
    await send({ to: ['a@example.org', 'b@example.org', 'c@example.org', 'd@example.org', 'e@example.org'] })
    await clock.settle()
    expect(smtp.jobs.map(addressees)).toEqual([
      ['a@example.org', 'b@example.org'],
      ['c@example.org', 'd@example.org'],
      ['e@example.org'],
    ])
  })

  it('that waited in the store when the queue started is found', async () => {
    const store = memoryStore()
    const first = queueBench({ store, outcomes: { '*': '450 4.2.0 later' }, retry: retryAfter('10m') })
    await first.queue.start!(CALL)
    await first.send()
    await first.send({ to: ['bob@example.com'] })
    await first.end()
    const second = await started({ store })
    expect(second.smtp.jobs).toHaveLength(0)
    await second.clock.advance('10m')
    expect(second.smtp.delivered.toSorted()).toEqual(['ann@example.org', 'bob@example.com'])
  })

  it('is not forgotten when mail of its lane was due before it', async () => {
    const store = memoryStore()
    const waits: Record<string, number> = { 'now@example.org': 0, 'later@example.org': 3 * MINUTE }
    const first = queueBench({
      store,
      outcomes: (recipient) => ({
        ...deferred('450 4.2.0 later'),
        notBefore: first.clock.now() + MINUTE + (waits[`${recipient.address.local}@example.org`] ?? 0),
      }),
      retry: retryAfter(0),
    })
    await first.queue.start!(CALL)
    await first.send({ to: ['now@example.org'] })
    await first.send({ to: ['later@example.org'] })
    await first.end()
    const second = queueBench({ store })
    await second.clock.advance('1m')
    await second.queue.start!(CALL)
    benches.push(second)
    await second.clock.settle()
    expect(second.smtp.delivered).toEqual(['now@example.org'])
    await second.clock.advance('3m')
    expect(second.smtp.delivered).toEqual(['now@example.org', 'later@example.org'])
  })
})

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
})

describe('mail that is deferred', () => {
  it('is tried over five days with longer and longer waits, and then returned with 5.4.7', async () => {
    const { send, smtp, clock, scope, entries } = await started({
      outcomes: { 'ann@example.org': '450 4.2.0 greylisted', 'sender@example.net': ['ok'] },
    })
    const start = clock.now()
    const tried: number[] = []
    scope.events.subscribe((event, at) => {
      if (event.type === 'recipient.settled' && event.message === 'm1') tried.push((at - start) / 1_000)
    })
    await send()
    await clock.advance('5d')
    await clock.advance('2h')

    expect(tried.slice(0, 6)).toEqual([0, 300, 600, 1_200, 2_400, 4_800])
    expect(tried.slice(6, 8)).toEqual([8_800, 12_800])
    expect(tried.at(-1)).toBeGreaterThanOrEqual(5 * 86_400)
    expect(tried.at(-1)).toBeLessThan(5 * 86_400 + 4_000)
    const notice = smtp.jobs.at(-1)!
    expect(notice.envelope.sender).toBeNull()
    expect(addressees(notice)).toEqual(['sender@example.net'])
    const text = Buffer.concat([notice.message.head, notice.message.buffered!]).toString().replace(/\s+/g, ' ')
    expect(text).toContain('Status: 5.4.7')
    expect(text).toContain('450 4.2.0 greylisted')
    expect(scope.events.of('message.bounced')).toHaveLength(1)
    expect(await entries()).toEqual([])
  })

  it('is returned once: a notice that cannot be delivered is given up, and the operator is told', async () => {
    const { send, clock, scope, entries } = await started({ outcomes: { '*': '550 5.1.1 unknown' } })
    await send()
    await clock.settle()
    expect(scope.events.of('message.bounced')).toHaveLength(1)
    expect(scope.events.of('message.undeliverable')).toMatchObject([
      { message: scope.events.of('message.bounced')[0]!.dsn, recipients: [{ address: mailbox('sender@example.net') }] },
    ])
    expect(await entries()).toEqual([])
  })

  it('keeps its place when a schedule of the host breaks', async () => {
    const { send, smtp, clock, failures } = await started({
      outcomes: { '*': ['450 4.2.0 later', 'ok'] },
      retry: () => Number.NaN,
    })
    await send()
    await clock.advance('5m')
    expect(smtp.delivered).toEqual(['ann@example.org'])
    expect(failures()).toEqual(['the retry schedule'])
  })
})

describe('a recipient that is refused while others are served', () => {
  it('is bounced through the queue', async () => {
    const routes = { 'bob@example.org': { kind: 'refuse', reply: reply(550, '5.1.1', 'no such user') } } as const
    const { send, smtp, clock, entries } = await started({ routes })
    await send({ to: ['ann@example.org', 'bob@example.org'] })
    await clock.settle()
    expect(smtp.delivered).toEqual(['ann@example.org', 'sender@example.net'])
    const notice = smtp.jobs.at(-1)!
    expect(notice.message.buffered!.toString()).toContain('bob@example.org')
    expect(await entries()).toEqual([])
  })
})

describe('a destination that is down', () => {
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

describe('an operator', () => {
  it('can hold mail back, look at it, and let it go', async () => {
    const { send, smtp, clock, queue, entries } = await started({ outcomes: { '*': ['450 4.2.0 later', 'ok'] } })
    await send()
    await clock.settle()
    expect(await queue.hold({ recipient: '@example.org' }, 'looks odd')).toBe(1)
    await clock.advance('1d')
    expect(smtp.jobs).toHaveLength(1)
    expect(await queue.entries({ limit: 10 })).toMatchObject([{ held: 'looks odd' }])
    expect((await queue.read('m1'))?.head.toString()).toContain('Subject')
    expect(await queue.stats()).toMatchObject({ messages: 1, held: 1 })
    expect(await queue.release({})).toBe(1)
    await clock.settle()
    expect(smtp.delivered).toEqual(['ann@example.org'])
    expect(await entries()).toEqual([])
    expect(await queue.release({})).toBe(0)
  })

  it('can have waiting mail tried now', async () => {
    const { send, smtp, clock, queue } = await started({ outcomes: { '*': ['450 4.2.0 later', 'ok'] } })
    await send()
    await clock.settle()
    expect(await queue.flush({ messages: ['m1'] })).toBe(1)
    await clock.settle()
    expect(smtp.delivered).toHaveLength(1)
    expect(await queue.flush({})).toBe(0)
  })

  it('can remove mail, also while it is being delivered', async () => {
    const { send, smtp, clock, queue, entries } = await started({ outcomes: { '*': '450 4.2.0 later' } })
    await send()
    await clock.settle()
    expect(await queue.remove({ messages: ['m1'] })).toBe(1)
    smtp.pause()
    await send()
    expect(await queue.remove({})).toBe(1)
    smtp.release()
    await clock.advance('1d')
    expect(smtp.jobs).toHaveLength(2)
    expect(await entries()).toEqual([])
  })

  it('finds held mail where a policy asked for it', async () => {
    const bench = await started()
    await bench.queue.deliver({ ...testJob(), hold: 'suspicious' }, CALL)
    await bench.clock.advance('1d')
    expect(bench.smtp.jobs).toEqual([])
    expect(await bench.entries()).toMatchObject([{ held: 'suspicious' }])
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
      })
      smtp.pause()
      faults.fail(call)
      for (let message = 0; message < 5; message++) await send()
      smtp.release()
      await clock.advance('5m')
      faults.recover(call)
      await clock.advance('10m')
      expect(smtp.delivered).toHaveLength(5)
      expect(failures().length).toBeLessThan(400)
      expect(await entries()).toEqual([])
    },
  )

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

describe('a store that does not claim what it takes', () => {
  it('is asked for it: the slot is used, and no mail waits', async () => {
    const { store: inner } = faultyStore()
    const store: QueueStore = {
      ...inner,
      put: (message, source, _claim, call) => inner.put(message, source, undefined, call),
    }
    const { send, smtp, clock, faults } = await started({ store })
    await send()
    await clock.settle()
    expect(faults.count('claim')).toBe(1)
    expect(smtp.delivered).toEqual(['ann@example.org'])
  })
})

describe('shutdown', () => {
  it('keeps the leases of work in hand while it waits for it', async () => {
    const { send, smtp, store, clock, queue } = await started({ lease: '3m' })
    smtp.pause()
    await send()
    const draining = queue.drain!(CALL)
    await clock.advance('30m')
    expect(await store.claim({ lane: 'smtp:example.org', now: clock.now(), limit: 1, leaseMs: 1 })).toEqual([])
    smtp.release()
    await draining
    expect(smtp.delivered).toHaveLength(1)
    expect(clock.pending).toBe(0)
  })

  it('lets work in hand finish, and begins nothing new', async () => {
    const { send, smtp, clock, queue, entries } = await started({ initialConcurrency: 1, concurrencyLimit: 1 })
    smtp.pause()
    await send()
    await send()
    let drained = false
    const draining = queue.drain!(CALL).then(() => {
      drained = true
    })
    await clock.settle()
    expect(drained).toBe(false)
    // Mail that comes now is stored for the next start.
    await send({ to: ['bob@example.com'] })
    smtp.release()
    await draining
    expect(smtp.jobs).toHaveLength(1)
    expect((await entries()).map(({ message, claimed }) => [message, claimed])).toEqual([
      ['m2', false],
      ['m3', false],
    ])
  })

  it('hands mail back unharmed when the grace time is over', async () => {
    const { smtp, send, clock, queue, entries } = await started()
    smtp.pause()
    await send()
    const grace = new AbortController()
    const draining = queue.drain!({ signal: grace.signal })
    await clock.settle()
    grace.abort(new Error('grace time is over'))
    await draining
    expect(await entries()).toMatchObject([{ attempts: 0, claimed: false, dueAt: clock.now() }])
  })

  it('gives up at once when there is no grace time', async () => {
    const { smtp, send, queue, entries } = await started()
    smtp.pause()
    await send()
    await queue.drain!({ signal: AbortSignal.abort(new Error('now')) })
    expect(await entries()).toMatchObject([{ attempts: 0, claimed: false }])
  })

  it('waits for a message that is just being stored, and for what it set off', async () => {
    const { send, smtp, clock, queue, faults, entries } = await started()
    faults.delay('put')
    const sending = send()
    await clock.settle()
    let drained = false
    const draining = queue.drain!(CALL).then(() => {
      drained = true
    })
    await clock.settle()
    expect(drained).toBe(false)
    faults.letGo('put')
    await Promise.all([sending, draining])
    expect(smtp.delivered).toHaveLength(1)
    expect(await entries()).toEqual([])
  })

  it('waits for the store to answer', async () => {
    const bench = queueBench()
    bench.faults.delay('lanes')
    await bench.queue.start!(CALL)
    const draining = bench.queue.drain!(CALL)
    const again = bench.queue.drain!(CALL)
    await bench.clock.settle()
    bench.faults.letGo('lanes')
    await Promise.all([draining, again])
    await bench.queue.stop!()
    expect(bench.clock.pending).toBe(0)
  })

  it('without draining hands back what is in hand, and leaves nothing running', async () => {
    const bench = await startedQueue({ outcomes: { '*': '450 4.2.0 later' } })
    await bench.send()
    await bench.clock.settle()
    bench.smtp.pause()
    await bench.send()
    await bench.queue.stop!()
    expect(bench.clock.pending).toBe(0)
    expect(bench.smtp.busy).toBe(0)
  })

  it('is followed by a temporary refusal of new mail', async () => {
    const bench = await startedQueue()
    await bench.end()
    expect((await bench.send()).get(1)).toMatchObject({ status: 'deferred', reply: { code: 451 } })
    expect(bench.clock.pending).toBe(0)
  })
})

describe('transports that are blocks', () => {
  interface Child {
    readonly block: Block<Transport>
    readonly log: string[]
  }

  function child(log: string[], name: string, failing: keyof Lifecycle | 'never' = 'never'): Child {
    const phase = (what: keyof Lifecycle) => async (): Promise<void> => {
      log.push(`${what} ${name}`)
      if (what === failing) throw new Error(`${name} cannot ${what}`)
    }
    const block: Block<Transport> = {
      name,
      create: () => ({
        name,
        deliver: async (job) => new Map(job.envelope.recipients.map(({ id }) => [id, delivered()])),
        start: phase('start'),
        drain: phase('drain'),
        stop: phase('stop'),
      }),
    }
    return { block, log }
  }

  it('live and die with the queue', async () => {
    const log: string[] = []
    const transports = { local: child(log, 'local').block, smtp: child(log, 'smtp').block }
    const bench = await startedQueue({ transports })
    expect((await bench.send()).get(1)?.status).toBe('ok')
    await bench.end()
    expect(log).toEqual(['start local', 'start smtp', 'drain local', 'drain smtp', 'stop smtp', 'stop local'])
    expect(bench.clock.pending).toBe(0)
  })

  it('that cannot start leave the store free for the next queue', async () => {
    const log: string[] = []
    const store = memoryStore()
    const transports = { local: child(log, 'local').block, smtp: child(log, 'smtp', 'start').block }
    const bench = queueBench({ store, transports })
    await expect(bench.queue.start!(CALL)).rejects.toThrow('smtp cannot start')
    expect(log).toEqual(['start local', 'start smtp', 'stop local'])
    expect(bench.clock.pending).toBe(0)
    await started({ store })
  })

  it.each(['drain', 'stop'] as const)('that cannot %s do not keep the others, or the store, from it', async (phase) => {
    const log: string[] = []
    const store = memoryStore()
    const transports = { local: child(log, 'local', phase).block, smtp: child(log, 'smtp', phase).block }
    const bench = await startedQueue({ store, transports })
    await bench.end()
    expect(log).toHaveLength(6)
    expect(bench.failures()).toEqual(
      Array(2).fill(`${phase === 'drain' ? 'draining' : 'stopping'} a transport of the queue`),
    )
    await started({ store })
  })
})

describe('the options of a queue', () => {
  function make(options: Partial<MessageQueueOptions>): unknown {
    const transport: Transport = { name: 'smtp', deliver: async () => new Map() }
    const given = {
      hostname: 'mx.example.org',
      store: memoryStore(),
      router: routerOf(),
      transports: { smtp: transport },
    }
    return messageQueue({ ...given, ...options }).create(testScope({ environment: testEnvironment() }))
  }

  it.each<Partial<MessageQueueOptions>>([
    { maxAttempts: 0 },
    { initialConcurrency: 0 },
    { concurrencyLimit: Number.NaN },
    { recipientLimit: Number.POSITIVE_INFINITY },
    { lease: 0 },
    { lifetime: 'for ever' as '1d' },
    { transports: { error: { name: 'error', deliver: async () => new Map() } } },
    { transports: { 'smtp:25': { name: 'smtp', deliver: async () => new Map() } } },
    { transports: { '': { name: '', deliver: async () => new Map() } } },
  ])('are refused where they cannot work: %j', (options) => {
    expect(() => make(options)).toThrow(expect.objectContaining({ code: 'ERR_MAILWRIGHT_CONFIG' }))
  })

  it('are few that must be given', () => {
    expect(make({})).toMatchObject({ name: 'queue' })
  })
})
