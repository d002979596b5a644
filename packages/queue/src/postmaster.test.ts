import { deferred, delivered, failed, mailbox, testJob, testMessage } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { messageQueue } from './message-queue.ts'
import type { PostmasterClass } from './postmaster.ts'
import {
  addressees,
  type BenchOptions,
  CALL,
  caredFor,
  type QueueBench,
  queueBench,
} from './testing-support/queue-bench.ts'

const started = caredFor()
const POSTMASTER = 'postmaster@example.com'

function hears(...classes: PostmasterClass[]): BenchOptions {
  return { postmaster: { address: mailbox(POSTMASTER), classes } }
}

/** What the postmaster got. */
function copies({ smtp }: QueueBench): readonly string[] {
  return smtp.jobs
    .filter((job) => addressees(job).includes(POSTMASTER))
    .map(({ message }) => Buffer.concat([message.head, message.buffered!]).toString())
}

function noticesTo(bench: QueueBench, address: string): number {
  return bench.smtp.jobs.filter((job) => addressees(job).includes(address)).length
}

const FAILING = { '*': 'ok', 'ann@example.org': '550 5.1.1 no such user' } as const

describe('the postmaster', () => {
  it('hears of failed mail beside its sender, with the header of the mail', async () => {
    const bench = await started({ ...hears('bounce'), outcomes: FAILING })
    await bench.send({ message: testMessage('Subject: lunch\n\nAt noon?\n') })
    await bench.clock.settle()
    const [copy, ...more] = copies(bench)
    expect(more).toEqual([])
    expect(copy).toContain('Subject: Postmaster Copy: Undelivered Mail')
    expect(copy).toContain('Auto-Submitted: auto-generated')
    expect(copy).toContain('Subject: lunch')
    expect(copy).not.toContain('At noon?')
    expect(noticesTo(bench, 'sender@example.net')).toBe(1)
    expect(await bench.entries()).toEqual([])
  })

  it('hears nothing of what is not in the classes', async () => {
    const bench = await started({ ...hears('delay', 'policy', 'resource', 'software'), outcomes: FAILING })
    await bench.send()
    await bench.clock.settle()
    expect(copies(bench)).toEqual([])
  })

  it.each([
    ['policy', failed('550 5.7.1 not you')],
    ['resource', failed('552 5.3.1 no space')],
    ['software', failed('550 5.3.5 misconfigured')],
  ] as const)('hears of trouble by %s', async (each, outcome) => {
    const bench = await started({ ...hears(each), outcomes: { '*': 'ok', 'ann@example.org': outcome } })
    await bench.send()
    await bench.clock.settle()
    expect(copies(bench)).toHaveLength(1)
  })

  it('hears nothing of what others lack', async () => {
    const remote = { host: 'mx.example.org', code: 552, lines: ['5.3.1 our disk is full'] }
    const outcome = { ...failed('552 5.3.1 no space'), remote }
    const bench = await started({
      ...hears('resource', 'software'),
      outcomes: { '*': 'ok', 'ann@example.org': outcome },
    })
    await bench.send()
    await bench.clock.settle()
    expect(copies(bench)).toEqual([])
  })

  it('hears of late mail when its sender is warned', async () => {
    const outcomes = { '*': delivered(), 'ann@example.org': deferred('451 4.4.1 no answer') }
    const bench = await started({ ...hears('delay'), outcomes, warnAfter: '1h' })
    await bench.send()
    await bench.clock.advance(3 * 3_600_000)
    expect(copies(bench)).toHaveLength(1)
    expect(copies(bench)[0]).toContain('Subject: Postmaster Copy: Delayed Mail')
  })

  it('gets what could be returned to nobody, in the settlement itself', async () => {
    const bench = await started({ ...hears('2bounce'), outcomes: FAILING })
    await bench.send({ sender: null })
    await bench.clock.settle()
    expect(copies(bench)).toHaveLength(1)
    expect(copies(bench)[0]).toContain('Subject: Postmaster Copy: Undeliverable Notice')
    expect(bench.scope.events.of('message.undeliverable')).toHaveLength(1)
  })

  it('gets it later, where that cannot be routed now', async () => {
    const routes = { '@example.com': () => Promise.reject(new Error('the table is down')) }
    const bench = await started({ ...hears('2bounce'), outcomes: FAILING, routes })
    await bench.send({ sender: null })
    await bench.clock.settle()
    expect(await bench.entries()).toMatchObject([{ message: 'm1', attempts: 1 }])
    expect(bench.failures()).toEqual(['notice about m1'])
  })

  it('gets what could be returned to nobody only where that is in the classes', async () => {
    const bench = await started({
      ...hears('bounce', 'policy'),
      outcomes: { '*': 'ok', 'ann@example.org': '550 5.7.1 no' },
    })
    await bench.send({ sender: null })
    await bench.clock.settle()
    expect(copies(bench)).toEqual([])
  })

  it('hears nothing of mail from nobody about which nobody wants to hear', async () => {
    const bench = await started({ ...hears('bounce', '2bounce'), outcomes: FAILING })
    const job = testJob({ sender: null })
    const recipients = job.envelope.recipients.map((each) => ({ ...each, notify: ['never'] as const }))
    await bench.queue.deliver({ ...job, envelope: { ...job.envelope, recipients } }, CALL)
    await bench.clock.settle()
    expect(copies(bench)).toEqual([])
  })

  it('hears of failed mail of others though they want to hear nothing', async () => {
    const bench = await started({ ...hears('bounce'), outcomes: FAILING })
    const job = testJob()
    const recipients = job.envelope.recipients.map((each) => ({ ...each, notify: ['never'] as const }))
    await bench.queue.deliver({ ...job, envelope: { ...job.envelope, recipients } }, CALL)
    await bench.clock.settle()
    expect(noticesTo(bench, 'sender@example.net')).toBe(0)
    expect(copies(bench)).toHaveLength(1)
  })

  it('gets one notice of mail of his own', async () => {
    const bench = await started({ ...hears('bounce'), outcomes: FAILING })
    await bench.send({ sender: POSTMASTER })
    await bench.clock.settle()
    expect(copies(bench)).toHaveLength(1)
    expect(copies(bench)[0]).toContain('Subject: Undelivered Mail Returned to Sender')
  })

  it('gets no copy of a copy that fails', async () => {
    const outcomes = { '*': 'ok', 'ann@example.org': '550 5.1.1 gone', [POSTMASTER]: '550 5.1.1 gone' } as const
    const bench = await started({ ...hears('bounce', '2bounce'), outcomes })
    await bench.send({ sender: null })
    await bench.clock.settle()
    expect(copies(bench)).toHaveLength(1)
    expect(await bench.entries()).toEqual([])
  })

  it('does not keep mail waiting when a copy cannot be routed', async () => {
    const routes = { '@example.com': () => Promise.reject(new Error('the table is down')) }
    const bench = await started({ ...hears('bounce'), outcomes: FAILING, routes })
    await bench.send()
    await bench.clock.settle()
    expect(noticesTo(bench, 'sender@example.net')).toBe(1)
    expect(bench.failures()).toEqual(['postmaster copy about m1'])
    expect(await bench.entries()).toEqual([])
  })

  it('does not keep mail waiting when a copy cannot be stored', async () => {
    const bench = await started({ ...hears('bounce'), outcomes: FAILING, takes: 1_000 })
    await bench.send()
    bench.faults.fail('put')
    await bench.clock.advance(2_000)
    expect(bench.failures()).toEqual([expect.stringContaining('storing the postmaster copy')])
    expect(copies(bench)).toEqual([])
    expect(await bench.entries()).toEqual([])
  })

  it('cannot be promised classes that are not there', () => {
    const classes = ['everything'] as unknown as PostmasterClass[]
    const { scope, store } = queueBench()
    const router = {
      route: () => ({ kind: 'expand' as const, into: [] }),
      destination: () => ({ kind: 'ours' as const, refusal: null }),
    }
    const options = {
      hostname: 'mx',
      store,
      router,
      transports: {},
      postmaster: { address: mailbox(POSTMASTER), classes },
    }
    expect(() => messageQueue(options).create(scope)).toThrow('everything')
  })
})
