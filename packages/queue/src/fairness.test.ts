/** Who waits for whom: giants, campaigns, priorities, and the fresh single mail that must not notice any of them. */
import { type Labels, type MailOptions, milliseconds } from '@mailwright/core'
import { describe, expect, it } from 'vitest'
import { addressees, type BenchOptions, caredFor, type QueueBench } from './testing-support/queue-bench.ts'

const started = caredFor()

/** How long after it was sent each message for these recipients was first tried, in ms, ascending. */
function waits(bench: QueueBench, tried: ReadonlyMap<string, number>, isMeant: (id: string) => boolean): number[] {
  return bench.smtp.jobs
    .filter(({ id }) => isMeant(id))
    .map(({ id, arrivedAt }) => tried.get(id)! - arrivedAt)
    .sort((one, other) => one - other)
}

/** Notes when each message was first tried. */
function watched(given: BenchOptions = {}): Promise<{ bench: QueueBench; tried: Map<string, number> }> {
  const tried = new Map<string, number>()
  let clock: QueueBench['clock'] | undefined
  return started({
    takes: '100ms',
    outcomes: (_, job) => {
      if (!tried.has(job.id)) tried.set(job.id, clock!.now() - milliseconds(given.takes ?? '100ms'))
      return 'ok'
    },
    ...given,
  }).then((bench) => {
    clock = bench.clock
    return { bench, tried }
  })
}

function many(count: number, domain: string): string[] {
  return Array.from({ length: count }, (_, number) => `r${number}@${domain}`)
}

describe('a message to 100,000 recipients of one destination', () => {
  it('lets single mail to that destination and to others leave within two seconds', { timeout: 60_000 }, async () => {
    const { bench, tried } = await watched()
    const { send, clock, smtp, entries } = bench
    await send({ id: 'giant', to: many(100_000, 'big.example') })
    for (let turn = 0; turn < 60; turn++) {
      await send({ id: `same-${turn}`, to: [`ann@big.example`] })
      await send({ id: `other-${turn}`, to: [`bob@other${turn % 7}.example`] })
      await clock.advance('200ms')
    }
    const same = waits(bench, tried, (id) => id.startsWith('same'))
    const other = waits(bench, tried, (id) => id.startsWith('other'))
    expect([same.length, other.length]).toEqual([60, 60])
    expect(same[Math.floor(same.length * 0.99)]).toBeLessThanOrEqual(2_000)
    expect(other[Math.floor(other.length * 0.99)]).toBeLessThanOrEqual(2_000)
    await clock.advance('60s')
    expect(smtp.delivered).toHaveLength(100_120)
    expect(smtp.mostBusy).toBeLessThanOrEqual(27)
    expect(await entries()).toEqual([])
  })
})

describe('a message to very many destinations', () => {
  it('takes every slot, and lets single mail pass all the same', { timeout: 60_000 }, async () => {
    const { bench, tried } = await watched({ maxAttempts: 10, takes: '1s' })
    const { send, clock } = bench
    const to = Array.from({ length: 400 }, (_, number) => `list@d${number}.example`)
    await send({ id: 'list', to })
    await clock.advance('5s')
    for (let turn = 0; turn < 5; turn++) await send({ id: `single-${turn}`, to: [`ann@s${turn}.example`] })
    await clock.advance('15s')
    const singles = waits(bench, tried, (id) => id.startsWith('single'))
    expect(singles).toHaveLength(5)
    expect(singles.at(-1)).toBeLessThanOrEqual(4_000)
    await clock.advance('60s')
    expect(bench.smtp.delivered).toHaveLength(405)
  })
})

describe('campaigns', () => {
  const campaign = (name: string): MailOptions => ({ labels: { campaign: name, tenant: 'acme' } })

  it('have lines of their own, named after their label', async () => {
    const { send, smtp, entries } = await started({ streams: ['campaign'] })
    smtp.pause()
    await send({ options: campaign('spring sale/2026') })
    await send({ options: { labels: { tenant: 'acme' } } })
    expect((await entries()).map(({ lane }) => lane)).toEqual([
      'smtp/spring=20sale=2f2026:example.org',
      'smtp:example.org',
    ])
    expect(smtp.jobs.map(({ lane }) => lane)).toEqual([
      { transport: 'smtp', destination: 'example.org', stream: 'spring=20sale=2f2026' },
      { transport: 'smtp', destination: 'example.org' },
    ])
    smtp.release()
  })

  it('may be named by a function; one that throws leaves mail in the common line', async () => {
    const streams = (labels: Labels): string | undefined => {
      if (labels.tenant === 'bad') throw new Error('a bug')
      return labels.tenant === 'acme' ? 'a'.repeat(100) : undefined
    }
    const { send, smtp, entries, failures } = await started({ streams })
    smtp.pause()
    for (const tenant of ['acme', 'other', 'bad']) await send({ options: { labels: { tenant } } })
    const lanes = (await entries()).map(({ lane }) => lane)
    expect(lanes.slice(1)).toEqual(['smtp:example.org', 'smtp:example.org'])
    expect(lanes[0]).toMatch(/^smtp\/a{55}\+[0-9a-f]{1,8}:example\.org$/)
    expect(failures()).toEqual(['the streams'])
    smtp.release()
  })

  it('share the window of their destination', async () => {
    const { send, smtp } = await started({ streams: ['campaign'] })
    smtp.pause()
    for (let turn = 0; turn < 10; turn++) await send({ options: campaign(`c${turn % 3}`) })
    expect(smtp.busy).toBe(5)
    smtp.release()
  })

  it('do not stand in front of other mail of their destination, nor of each other', async () => {
    const { bench, tried } = await watched({ streams: ['campaign'], concurrencyLimit: 2, initialConcurrency: 2 })
    const { send, clock } = bench
    for (let turn = 0; turn < 300; turn++) await send({ id: `first-${turn}`, options: campaign('first') })
    for (let turn = 0; turn < 300; turn++) await send({ id: `second-${turn}`, options: campaign('second') })
    await clock.advance('2s')
    await send({ id: 'single' })
    await clock.advance('8s')
    expect(waits(bench, tried, (id) => id === 'single')[0]).toBeLessThanOrEqual(2_000)
    const served = [...tried.keys()].filter((id) => id.startsWith('second'))
    expect(served.length).toBeGreaterThan(50)
    await clock.advance('60s')
    expect(bench.smtp.delivered).toHaveLength(601)
  })

  it('have no more than their share of all slots while others wait', async () => {
    const { send, smtp, clock } = await started({ streams: ['campaign'], maxAttempts: 10, takes: '1s' })
    // Ten at once, while nobody else wants the slots.
    for (let turn = 0; turn < 40; turn++) await send({ to: [`ann@d${turn}.example`], options: campaign('all') })
    expect(smtp.busy).toBe(10)
    for (let turn = 0; turn < 10; turn++) await send({ to: [`bob@s${turn}.example`] })
    await clock.advance('1s')
    const others = smtp.jobs.slice(10, 20).filter(({ lane }) => lane?.stream === undefined)
    expect(others.length).toBeGreaterThanOrEqual(2)
    await clock.advance('10s')
    expect(smtp.delivered).toHaveLength(50)
  })
})

describe('priorities', () => {
  const of = (priority: number): MailOptions => ({ priority })

  it('go first among the mail that waits for a slot, and the lowest last', async () => {
    const { send, smtp, clock } = await started({ initialConcurrency: 1, concurrencyLimit: 1, takes: '1s' })
    await send({ to: ['first@example.org'] })
    for (const [name, priority] of [
      ['low', -3],
      ['usual', 0],
      ['high', 4],
      ['highest', 9],
    ] as const)
      await send({ to: [`${name}@example.org`], options: of(priority) })
    await clock.advance('10s')
    const order = smtp.jobs.flatMap(addressees).map((address) => address.split('@')[0])
    expect(order).toEqual(['first', 'highest', 'high', 'usual', 'low'])
  })

  it('go first among destinations, too', async () => {
    const { send, smtp, clock } = await started({ maxAttempts: 1, takes: '1s' })
    await send({ to: ['first@a.example'] })
    await send({ to: ['low@b.example'], options: of(-3) })
    await send({ to: ['usual@c.example'] })
    await send({ to: ['high@d.example'], options: of(4) })
    await clock.advance('10s')
    const order = smtp.jobs.flatMap(addressees).map((address) => address.split('@')[0])
    expect(order).toEqual(['first', 'high', 'usual', 'low'])
  })

  it('stand in the store where mail of some minutes before does, and older mail goes first', async () => {
    const { send, smtp, clock, entries } = await started({ outcomes: { '*': '450 4.2.0 later' } })
    smtp.pause()
    await send({ id: 'usual' })
    await send({ id: 'high', options: of(2) })
    const [high, usual] = await entries()
    expect(usual!.dueAt - high!.dueAt).toBe(120_000)
    expect(high!.arrivedAt).toBe(clock.now())
    smtp.release()
  })

  it('do not bring forward what is to be released later', async () => {
    const { send, clock, entries } = await started()
    const notBefore = clock.now() + 600_000
    await send({ options: { priority: 9, notBefore } })
    expect((await entries())[0]!.dueAt).toBe(notBefore)
  })
})
