import { type Claim, type DeliveryJob, type MessageSource, type Routing, reply } from '@mailwright/core'
import { mailbox, recordedEvents, type TestJob, testEnvironment, testJob } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { acceptMessage, type Placement } from './acceptance.ts'
import { faultyStore } from './testing-support/faulty-store.ts'
import { CALL, type Routes, routerOf } from './testing-support/queue-bench.ts'

interface DeskOptions {
  readonly routes?: Routes
  readonly recipientLimit?: number
  /** Lanes that have a free slot. Default: none. */
  readonly free?: readonly string[]
}

/** Where mail is handed in: a store, a router, and a scheduler that says yes to the lanes named. */
async function desk(options: DeskOptions = {}) {
  const environment = testEnvironment()
  const events = recordedEvents(environment.clock)
  const { store, faults } = faultyStore()
  await store.open(events)
  events.clear()
  const asked: string[] = []
  const placements: Placement[] = []
  const parts = {
    store,
    router: routerOf(options.routes),
    environment,
    events,
    recipientLimit: () => options.recipientLimit ?? 50,
    streams: { streamOf: () => undefined, bulkAbove: 10 },
    leaseMs: 600_000,
    reserve: (lane: string) => {
      asked.push(lane)
      return options.free?.includes(lane) ?? false
    },
    placed: (placement: Placement) => void placements.push(placement),
  }
  const accept = (job: DeliveryJob, call = CALL) => acceptMessage(parts, job, call)
  return { accept, parts, store, faults, events, asked, placements, entries: () => store.entries({ limit: 100 }) }
}

function job(given: TestJob = {}, extras: Partial<DeliveryJob> = {}): DeliveryJob {
  return { ...testJob({ id: 'm1', ...given }), ...extras }
}

const lanesOf = (claims: readonly Claim[]): string[] => claims.map(({ entry }) => entry.lane)
const refusal = (code: 450 | 550): Extract<Routing, { kind: 'refuse' }> => ({
  kind: 'refuse',
  reply: code === 450 ? reply(450, '4.2.1', 'moving') : reply(550, '5.1.1', 'gone'),
})
const THREE = ['ann@example.org', 'bob@example.com', 'eve@example.org']

describe('a message that is taken', () => {
  it('is queued for everybody, in one entry for each lane, and the client is told its id', async () => {
    const { accept, entries, events } = await desk()
    const outcomes = await accept(job({ to: THREE }))
    expect([...outcomes.keys()]).toEqual([1, 2, 3])
    expect(outcomes.get(2)).toEqual({
      status: 'ok',
      action: 'queued',
      reply: { code: 250, enhanced: '2.0.0', text: 'Ok: queued as m1' },
    })
    expect((await entries()).map(({ lane, recipients }) => [lane, recipients.length])).toEqual([
      ['smtp:example.org', 2],
      ['smtp:example.com', 1],
    ])
    expect(events.all).toEqual([
      {
        type: 'message.queued',
        message: 'm1',
        sender: mailbox('sender@example.net'),
        size: job().message.size,
        recipients: 3,
        lanes: ['smtp:example.org', 'smtp:example.com'],
        held: undefined,
      },
    ])
  })

  it('is claimed in the same step by the lanes that have a slot; the others are told it is there', async () => {
    const { accept, placements } = await desk({ free: ['smtp:example.com'] })
    await accept(job({ to: THREE }))
    expect(placements).toHaveLength(1)
    expect([...placements[0]!.reserved]).toEqual(['smtp:example.com'])
    expect(lanesOf(placements[0]!.claims)).toEqual(['smtp:example.com'])
    expect(placements[0]!.waiting).toEqual(['smtp:example.org'])
  })

  it('asks for no slot in a lane where it has several entries: it would need several', async () => {
    const { accept, asked, entries, placements } = await desk({ recipientLimit: 1, free: ['smtp:example.org'] })
    await accept(job({ to: THREE }))
    expect(asked).toEqual(['smtp:example.com'])
    expect(await entries()).toHaveLength(3)
    expect(placements[0]!.waiting).toContain('smtp:example.org')
  })

  it('builds no event while nobody listens', async () => {
    const { parts, events, entries } = await desk()
    await acceptMessage({ ...parts, events: { ...events, wants: () => false } }, job(), CALL)
    expect(events.all).toEqual([])
    expect(await entries()).toHaveLength(1)
  })

  it('waits for an operator when a policy said so, and no slot is asked for', async () => {
    const { accept, asked, entries, events, placements } = await desk({ free: ['smtp:example.org'] })
    await accept(job({}, { hold: 'looks odd' }))
    expect(await entries()).toMatchObject([{ held: 'looks odd', claimed: false }])
    expect(asked).toEqual([])
    expect(placements).toEqual([{ reserved: new Set(), claims: [], waiting: [] }])
    expect(events.of('message.queued')).toMatchObject([{ held: 'looks odd' }])
  })

  it('is stored once when it is handed in twice under one id, and its slot comes back', async () => {
    const { accept, entries, placements } = await desk({ free: ['smtp:example.org'] })
    await accept(job())
    expect((await accept(job())).get(1)?.status).toBe('ok')
    expect(await entries()).toHaveLength(1)
    expect(placements[1]).toMatchObject({ claims: [], waiting: [] })
    expect(placements[1]!.reserved.size).toBe(1)
  })
})

describe('a message nobody can be served with', () => {
  it('is refused, and nothing is stored', async () => {
    const { accept, entries, placements } = await desk({ routes: { '@example.org': refusal(550) } })
    const outcomes = await accept(job({ to: ['ann@example.org', 'bob@example.org'] }))
    expect([...outcomes.values()]).toEqual(Array(2).fill({ status: 'failed', reply: refusal(550).reply }))
    expect(await entries()).toEqual([])
    expect(placements).toEqual([])
  })

  it('is deferred when one of them may be served later', async () => {
    const { accept } = await desk({ routes: { 'ann@example.org': refusal(550), 'bob@example.org': refusal(450) } })
    const outcomes = await accept(job({ to: ['ann@example.org', 'bob@example.org'] }))
    expect([...outcomes.values()]).toMatchObject([
      { status: 'deferred', reply: { code: 450 } },
      { status: 'deferred', reply: { code: 450 } },
    ])
  })

  it('has no outcomes when it has no recipients', async () => {
    const { accept, entries } = await desk()
    const given = job()
    const outcomes = await accept({ ...given, envelope: { ...given.envelope, recipients: [] } })
    expect(outcomes.size).toBe(0)
    expect(await entries()).toEqual([])
  })
})

describe('a message some cannot be served with', () => {
  it('is queued, and the refusal waits in a lane of its own to be bounced', async () => {
    const { accept, entries } = await desk({ routes: { 'bob@example.com': refusal(550) } })
    const outcomes = await accept(job({ to: THREE }))
    expect([...outcomes.values()].every(({ status }) => status === 'ok')).toBe(true)
    expect((await entries()).map(({ lane }) => lane)).toEqual(['smtp:example.org', 'error:550 5.1.1 gone'])
  })
})

describe('trouble', () => {
  it('in a table makes the whole message temporary, without a word about why', async () => {
    const { accept, entries, events } = await desk({
      routes: { 'bob@example.com': () => Promise.reject(new Error('password of the database is wrong')) },
    })
    const outcomes = await accept(job({ to: THREE }))
    expect(outcomes.size).toBe(3)
    for (const outcome of outcomes.values()) {
      expect(outcome).toMatchObject({ status: 'deferred', reply: { code: 451, enhanced: '4.3.0' } })
      expect(JSON.stringify(outcome.reply)).not.toContain('password')
    }
    expect(await entries()).toEqual([])
    expect(events.of('failure')).toMatchObject([{ where: 'routing of m1' }])
  })

  it('in the store makes it temporary, and gives the slots back', async () => {
    const { accept, faults, events, placements } = await desk({ free: ['smtp:example.org', 'smtp:example.com'] })
    faults.fail('put')
    const outcomes = await accept(job({ to: THREE }))
    expect([...outcomes.values()]).toMatchObject(Array(3).fill({ status: 'deferred', reply: { code: 451 } }))
    expect(events.of('failure')).toMatchObject([{ where: 'storing of m1' }])
    expect(events.of('message.queued')).toEqual([])
    expect(placements).toMatchObject([{ claims: [] }])
    expect(placements[0]!.reserved.size).toBe(2)
  })

  it('with a body that breaks off makes it temporary, and nothing is stored', async () => {
    const { accept, entries } = await desk()
    const broken: MessageSource = {
      head: new Uint8Array(),
      size: 10,
      // biome-ignore lint/correctness/useYield: it breaks off before its first byte
      async *body() {
        throw new Error('disk')
      },
    }
    expect((await accept(job({ message: broken }))).get(1)).toMatchObject({ status: 'deferred' })
    expect(await entries()).toEqual([])
  })

  it('with a client that is gone stores nothing', async () => {
    const { accept, entries } = await desk()
    expect((await accept(job(), { signal: AbortSignal.abort(new Error('gone')) })).get(1)).toMatchObject({
      status: 'deferred',
    })
    expect(await entries()).toEqual([])
  })
})
