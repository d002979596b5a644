import {
  type Call,
  type Claim,
  type DeliveryJob,
  hasCode,
  type MailOptions,
  MailwrightError,
  type Outcome,
  type QueueEntry,
  reply,
  sleep,
  type Transport,
} from '@mailwright/core'
import { deferred, delivered, failed, recordedEvents, testEnvironment, testJob } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { type AttemptParts, type AttemptResult, attempt, type Reception } from './attempt.ts'
import { retryAfter } from './retry.ts'
import { faultyStore } from './testing-support/faulty-store.ts'
import { CALL, type Routes, routerOf } from './testing-support/queue-bench.ts'
import { UnreachableDestinations } from './unreachable.ts'

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE

interface Given {
  readonly lane?: string
  readonly sender?: string | null
  readonly to?: readonly string[]
  readonly routes?: Routes
  readonly options?: MailOptions
  /** What the transport `smtp` does. */
  readonly deliver?: Transport['deliver']
}

/** One claimed entry, and what an attempt at it needs. */
async function claimed(given: Given = {}) {
  const environment = testEnvironment()
  const { clock } = environment
  const events = recordedEvents(clock)
  const { store, faults } = faultyStore()
  await store.open(events)
  events.clear()
  const { lane = 'smtp:example.org', routes = {}, deliver = answering(delivered()), ...mail } = given
  const { envelope, message } = testJob(mail)
  const entries = [{ lane, recipients: envelope.recipients, dueAt: clock.now() }]
  const claim = { lanes: new Set([lane]), now: clock.now(), leaseMs: 10 * MINUTE }
  const about = { id: 'm1', sender: envelope.sender, options: envelope.options, arrivedAt: clock.now(), entries }
  const claims = await store.put(about, message, claim, CALL)
  const parts: AttemptParts = {
    store,
    transports: new Map([['smtp', { name: 'smtp', deliver }]]),
    environment,
    events,
    hostname: 'mx.example.org',
    router: routerOf(routes),
    recipientLimit: 50,
    nextId: () => 'dsn1',
    retry: { schedule: retryAfter('5m'), lifetimeMs: 5 * DAY, bounceLifetimeMs: DAY },
    unreachable: new UnreachableDestinations(),
  }
  const failures = (): string[] => events.of('failure').map(({ where }) => where)
  const left = (): Promise<readonly QueueEntry[]> => store.entries({ limit: 10 })
  return { clock, events, store, faults, parts, claim: claims[0] as Claim, failures, left }
}

/** Runs an attempt, and tells with its result how the destination received it. */
async function tried(
  parts: AttemptParts,
  claim: Claim,
  call: Call,
): Promise<AttemptResult & { readonly unreachable: boolean }> {
  const receptions: Reception[] = []
  const result = await attempt(parts, claim, call, (reception) => receptions.push(reception))
  expect(receptions).toHaveLength(1)
  return { ...result, unreachable: receptions[0] === 'unreachable' }
}

/** A transport's answer: these outcomes, for recipients 1, 2 and so on. */
function answering(...outcomes: readonly Outcome[]): Transport['deliver'] {
  return async () => new Map(outcomes.map((outcome, index) => [index + 1, outcome]))
}

const UNKNOWN = failed('550 5.1.1 no such user')

describe('an attempt', () => {
  it('gives the transport the job as it stands in the queue', async () => {
    const jobs: DeliveryJob[] = []
    const { clock, parts, claim } = await claimed({
      deliver: async (job) => {
        jobs.push(job)
        return new Map([[1, delivered()]])
      },
    })
    await tried(parts, claim, CALL)
    expect(jobs).toMatchObject([
      {
        id: 'm1',
        envelope: { recipients: [{ id: 1 }], options: {} },
        arrivedAt: clock.now(),
        lane: { transport: 'smtp', destination: 'example.org' },
        attempt: 1,
      },
    ])
  })

  it('that delivers leaves nothing behind, and tells how long it took', async () => {
    const { clock, parts, claim, events, left } = await claimed({
      deliver: async (_job, call) => {
        await sleep(clock, 250, call.signal)
        return new Map([[1, delivered('relayed')]])
      },
    })
    await clock.advance(1_000)
    const result = await clock.until(tried(parts, claim, CALL))
    expect(result).toEqual({ unreachable: false, retryAt: undefined, noticeLanes: [] })
    expect(await left()).toEqual([])
    expect(events.all).toMatchObject([
      {
        type: 'recipient.settled',
        message: 'm1',
        attempt: 1,
        outcome: { status: 'ok', action: 'relayed' },
        delays: { queued: 1_000, attempt: 250 },
        retryAt: undefined,
      },
      { type: 'message.removed', message: 'm1' },
    ])
  })

  it('that defers leaves the mail for later, with what was said of it', async () => {
    const { clock, parts, claim, events, left } = await claimed({
      to: ['ann@example.org', 'bob@example.org'],
      deliver: answering(delivered(), deferred('450 4.2.0 greylisted')),
    })
    const retryAt = clock.now() + 5 * MINUTE
    expect(await tried(parts, claim, CALL)).toEqual({ unreachable: false, retryAt, noticeLanes: [] })
    expect(await left()).toMatchObject([
      { dueAt: retryAt, attempts: 1, recipients: [{ id: 2, lastReply: '450 4.2.0 greylisted' }], claimed: false },
    ])
    expect(events.of('recipient.settled').map((event) => event.retryAt)).toEqual([undefined, retryAt])
  })

  it('that fails puts the notice in the queue in the same step', async () => {
    const { parts, claim, events, left, faults } = await claimed({ deliver: answering(UNKNOWN) })
    expect(await tried(parts, claim, CALL)).toMatchObject({ noticeLanes: ['smtp:example.net'] })
    expect(await left()).toMatchObject([{ message: 'dsn1', sender: null, lane: 'smtp:example.net', attempts: 0 }])
    expect(faults.count('put')).toBe(1)
    expect(events.all).toMatchObject([
      { type: 'recipient.settled', outcome: { status: 'failed' } },
      { type: 'message.bounced', message: 'm1', dsn: 'dsn1', recipients: [{ id: 1 }] },
      { type: 'message.removed', message: 'm1' },
    ])
  })

  it('that fails mail of the null sender tells the operator: there is nobody else', async () => {
    const { parts, claim, events, left } = await claimed({ sender: null, deliver: answering(UNKNOWN) })
    await tried(parts, claim, CALL)
    expect(await left()).toEqual([])
    expect(events.of('message.undeliverable')).toMatchObject([{ message: 'm1', recipients: [{ id: 1 }] }])
    expect(events.of('message.bounced')).toEqual([])
  })

  it('builds no events while nobody listens', async () => {
    const { parts, claim, events } = await claimed()
    await tried({ ...parts, events: { ...events, wants: () => false, emit: () => expect.unreachable() } }, claim, CALL)
  })
})

describe('mail in a lane nobody serves', () => {
  it('is not bounced when the configuration has lost its transport, and its lane is left alone', async () => {
    const { parts, claim, left } = await claimed({ lane: 'fax:12345' })
    expect(await tried(parts, claim, CALL)).toMatchObject({ unreachable: true })
    expect(await left()).toMatchObject([{ recipients: [{ lastReply: '451 4.3.5 No transport fax' }] }])
  })

  it('fails with the refusal of its error lane', async () => {
    const { parts, claim, events } = await claimed({ lane: 'error:550 5.1.1 gone' })
    expect(await tried(parts, claim, CALL)).toMatchObject({ unreachable: false, noticeLanes: ['smtp:example.net'] })
    expect(events.of('recipient.settled')).toMatchObject([
      { outcome: { status: 'failed', reply: { code: 550, enhanced: '5.1.1', text: 'gone' } } },
    ])
  })
})

describe('a transport that breaks', () => {
  it.each<readonly [string, Transport['deliver']]>([
    ['rejects', () => Promise.reject(new Error('a bug'))],
    [
      'throws',
      () => {
        throw new Error('a bug')
      },
    ],
    ['answers nonsense', (async () => undefined) as unknown as Transport['deliver']],
  ])('and %s defers the mail, and says nothing of the bug on the wire', async (_how, deliver) => {
    const { parts, claim, failures, left } = await claimed({ deliver })
    expect(await tried(parts, claim, CALL)).toMatchObject({ unreachable: false })
    expect(failures()).toEqual(['delivery of m1 by smtp'])
    const [entry] = await left()
    expect(entry?.recipients[0]?.lastReply).toBe('451 4.3.0 Temporary failure, please try again later')
  })

  it('may say itself that it is for good', async () => {
    const error = new MailwrightError('ERR_MAILWRIGHT_LIMIT', 'too big', { reply: reply(552, '5.3.4', 'too big') })
    const { parts, claim, events } = await claimed({ deliver: () => Promise.reject(error) })
    await tried(parts, claim, CALL)
    expect(events.of('recipient.settled')).toMatchObject([{ outcome: { status: 'failed', reply: { code: 552 } } }])
  })
})

describe('an attempt cut short by shutdown', () => {
  async function cutShort() {
    const setting = await claimed({
      deliver: (_job, call) => sleep(setting.clock, DAY, call.signal).then(() => new Map()),
    })
    const patience = new AbortController()
    const running = tried(setting.parts, setting.claim, { signal: patience.signal })
    return { ...setting, running, giveUp: () => patience.abort(new Error('grace time is over')) }
  }

  it('hands the mail back: due at once, and not counted', async () => {
    const { clock, running, giveUp, left, events } = await cutShort()
    const now = clock.now()
    giveUp()
    expect(await running).toEqual({ unreachable: false, retryAt: undefined, noticeLanes: [] })
    expect(await left()).toMatchObject([{ attempts: 0, dueAt: now, claimed: false }])
    expect(events.all).toEqual([])
    expect(clock.pending).toBe(0)
  })

  it('leaves the mail to the end of its lease when it cannot be handed back', async () => {
    const { running, giveUp, left, faults, failures } = await cutShort()
    faults.fail('settle')
    giveUp()
    await running
    expect(failures()).toEqual(['handing back m1'])
    expect(await left()).toMatchObject([{ attempts: 0, claimed: true }])
  })
})

describe('a settlement that cannot be written', () => {
  it('is tried until it can: the mail may have been delivered', async () => {
    const { clock, parts, claim, faults, failures, left } = await claimed()
    const start = clock.now()
    faults.fail('settle', 7)
    await clock.until(tried(parts, claim, CALL))
    expect(clock.now() - start).toBe(1_000 + 2_000 + 5_000 + 10_000 + 3 * 30_000)
    expect(failures()).toEqual(Array(7).fill('settling m1'))
    expect(await left()).toEqual([])
  })

  it('is given up when another worker has the claim, which tells as much of the destination', async () => {
    const { clock, parts, claim, store, events, failures } = await claimed({
      deliver: answering(deferred('421 4.4.1 no answer', 'destination')),
    })
    await store.remove({})
    expect(await tried(parts, claim, CALL)).toEqual({ unreachable: true, retryAt: undefined, noticeLanes: [] })
    expect(failures()).toEqual(['settling m1'])
    expect(hasCode(events.of('failure')[0]?.error, 'ERR_MAILWRIGHT_CLAIM_LOST')).toBe(true)
    expect(events.of('recipient.settled')).toEqual([])
    expect(clock.pending).toBe(0)
  })

  it('is given up when the server stops first', async () => {
    const { clock, parts, claim, faults } = await claimed()
    const patience = new AbortController()
    faults.fail('settle')
    const running = tried(parts, claim, { signal: patience.signal } satisfies Call)
    await clock.advance(500)
    patience.abort(new Error('grace time is over'))
    expect(await running).toMatchObject({ retryAt: undefined })
    expect(clock.pending).toBe(0)
  })
})

describe('a notice that cannot be made now', () => {
  it('keeps the failed recipient in the queue, to fail again later', async () => {
    let broken = true
    const { clock, parts, claim, store, events, failures, left } = await claimed({
      to: ['ann@example.org', 'bob@example.org', 'eve@example.org'],
      deliver: answering(UNKNOWN, delivered(), deferred('450 4.2.0 later')),
      routes: {
        '@example.net': () => {
          if (broken) throw new Error('no table')
          return { kind: 'send', lane: { transport: 'smtp', destination: 'example.net' } }
        },
      },
    })
    const retryAt = clock.now() + 5 * MINUTE
    expect(await tried(parts, claim, CALL)).toEqual({ unreachable: false, retryAt, noticeLanes: [] })
    expect(failures()).toEqual(['notice about m1'])
    expect(events.of('message.undeliverable')).toEqual([])
    expect(await left()).toMatchObject([
      { recipients: [{ id: 1, lastReply: '451 4.3.0 Notice postponed; failed with 5.1.1' }, { id: 3 }] },
    ])

    broken = false
    await clock.advance('5m')
    const [again] = await store.claim({ lane: 'smtp:example.org', now: clock.now(), limit: 1, leaseMs: MINUTE })
    await tried(parts, again!, CALL)
    expect((await left()).map(({ message }) => message)).toEqual(['dsn1', 'm1'])
  })
})
