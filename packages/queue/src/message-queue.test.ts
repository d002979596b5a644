import { type Block, type Lifecycle, reply, type Transport } from '@mailwright/core'
import { deferred, delivered, mailbox, testEnvironment, testJob, testScope } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { memoryStore } from './memory-store.ts'
import { messageQueue } from './message-queue.ts'
import type { MessageQueueOptions } from './queue-options.ts'
import { retryAfter } from './retry.ts'
import { addressees, CALL, caredFor, queueBench, routerOf, startedQueue } from './testing-support/queue-bench.ts'

const MINUTE = 60_000
const started = caredFor()

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
    await started(second)
    await second.clock.settle()
    expect(second.smtp.delivered).toEqual(['now@example.org'])
    await second.clock.advance('3m')
    expect(second.smtp.delivered).toEqual(['now@example.org', 'later@example.org'])
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
