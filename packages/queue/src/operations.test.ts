/** Requeue, reroute and expire, on a live queue. */
import { type Lane, MailwrightError, type QueueEntry, type Routing, reply } from '@mailwright/core'
import { mailbox } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { memoryStore } from './memory-store.ts'
import { retryAfter } from './retry.ts'
import { addressees, type BenchOptions, caredFor, type QueueBench, type Routes } from './testing-support/queue-bench.ts'

const MINUTE = 60_000
const BACKUP: Lane = { transport: 'smtp', destination: '[backup.example.net]:25' }
const started = caredFor()

function to(destination: string): Routing {
  return { kind: 'send', lane: { transport: 'smtp', destination } }
}

function into(...addresses: readonly string[]): Routing {
  return { kind: 'expand', into: addresses.map(mailbox) }
}

/** A queue whose mail for ann@example.org was deferred once, for an hour, and a table of routes to change. */
async function waiting(options: BenchOptions = {}): Promise<QueueBench & { readonly table: Record<string, Routing> }> {
  const table: Record<string, Routing> = {}
  const routes: Routes = new Proxy(table, { get: (all, name: string) => all[name] })
  const bench = await started({
    routes,
    outcomes: { 'ann@example.org': ['450 4.2.0 later', 'ok'], '*': 'ok' },
    retry: retryAfter('1h'),
    ...options,
  })
  await bench.send()
  await bench.clock.settle()
  expect(await bench.entries()).toMatchObject([{ attempts: 1 }])
  return Object.assign(bench, { table })
}

function lanes(bench: QueueBench): string[] {
  return bench.smtp.jobs.map((job) => job.lane!.destination)
}

describe('mail put back for routing', () => {
  it('goes where its router sends it now, at once', async () => {
    const bench = await waiting()
    bench.table['@example.org'] = to('[new.example.net]')
    expect(await bench.queue.requeue({ recipient: '@example.org' })).toBe(1)
    await bench.clock.settle()
    expect(lanes(bench)).toEqual(['example.org', '[new.example.net]'])
    expect(bench.smtp.delivered).toEqual(['ann@example.org'])
    expect(bench.smtp.jobs[1]!.attempt).toBe(2)
    expect(await bench.entries()).toEqual([])
  })

  it('gets away from a destination that was given up', async () => {
    const bench = await waiting({
      outcomes: (_, job) =>
        job.lane!.destination === 'example.org'
          ? { status: 'deferred', scope: 'destination', reply: reply(451, '4.4.1', 'no answer') }
          : 'ok',
      initialConcurrency: 1,
      deadFor: '1d',
    })
    expect(bench.scope.events.of('lane.state')).toMatchObject([{ lane: 'smtp:example.org', state: 'dead' }])
    await bench.send({ to: ['bob@example.org'] })
    bench.table['@example.org'] = to('[new.example.net]')
    expect(await bench.queue.requeue({})).toBe(2)
    await bench.clock.settle()
    expect(bench.smtp.delivered.toSorted()).toEqual(['ann@example.org', 'bob@example.org'])
    expect(await bench.entries()).toEqual([])
  })

  it('that its router refuses now is returned to its sender', async () => {
    const bench = await waiting()
    bench.table['ann@example.org'] = { kind: 'refuse', reply: reply(550, '5.1.1', 'ann has left') }
    await bench.queue.requeue({})
    await bench.clock.settle()
    expect(bench.smtp.delivered).toEqual(['sender@example.net'])
    expect(bench.scope.events.of('message.bounced')).toMatchObject([
      { message: 'm1', sender: mailbox('sender@example.net') },
    ])
    expect(await bench.entries()).toEqual([])
  })

  it('goes to the members of an alias that the address has become, each once', async () => {
    const bench = await waiting()
    bench.table['ann@example.org'] = into('bob@example.com', 'eve@example.com', 'bob@example.com')
    await bench.queue.requeue({})
    await bench.clock.settle()
    expect(bench.smtp.delivered).toEqual(['bob@example.com', 'eve@example.com'])
    expect(bench.scope.events.of('message.bounced')).toEqual([])
    expect(await bench.entries()).toEqual([])
  })

  it('is not sent a second time to those who got it beside the recipient', async () => {
    const keep = { transport: 'smtp', destination: 'example.org' }
    const table: Routes = { 'ann@example.org': { kind: 'expand', into: [mailbox('bob@example.com')], keep } }
    const bench = await started({
      routes: table,
      outcomes: { 'ann@example.org': ['450 4.2.0 later', 'ok'], 'bob@example.com': ['ok'] },
    })
    await bench.send()
    await bench.clock.settle()
    expect(bench.smtp.delivered).toEqual(['bob@example.com'])
    expect(await bench.queue.requeue({})).toBe(1)
    await bench.clock.settle()
    expect(bench.smtp.jobs.map(addressees).toSorted()).toEqual([
      ['ann@example.org'],
      ['ann@example.org'],
      ['bob@example.com'],
    ])
    expect(bench.smtp.delivered).toEqual(['bob@example.com', 'ann@example.org'])
  })

  it('keeps a line of its own where it had one, wherever it goes', async () => {
    const bench = await started({ outcomes: { '*': '450 4.2.0 later' }, retry: retryAfter('1h'), recipientLimit: 1 })
    await bench.send({ to: Array.from({ length: 11 }, (_, index) => `user${index}@example.org`) })
    await bench.clock.settle()
    expect(new Set((await bench.entries()).map((entry) => entry.lane))).toEqual(new Set(['smtp/m1:example.org']))
    expect(await bench.queue.requeue({})).toBe(11)
    await bench.clock.settle()
    expect(new Set((await bench.entries()).map((entry) => entry.lane))).toEqual(new Set(['smtp/m1:example.org']))
    expect(await bench.queue.reroute({}, BACKUP)).toBe(11)
    await bench.clock.settle()
    const lane = 'smtp/m1:[backup.example.net]:25'
    expect(new Set((await bench.entries()).map((entry) => entry.lane))).toEqual(new Set([lane]))
  })

  it('goes into the stream that its labels name', async () => {
    const bench = await waiting({ outcomes: { '*': '450 4.2.0 later' }, streams: ['campaign'] })
    await bench.send({ options: { labels: { campaign: 'spring' } } })
    await bench.queue.requeue({ labels: { campaign: 'spring' } })
    await bench.clock.settle()
    expect((await bench.entries()).map((entry) => entry.lane)).toEqual(['smtp:example.org', 'smtp/spring:example.org'])
  })

  it('waits, instruction and all, while its router cannot say', async () => {
    const bench = await waiting()
    const broken = (): Routing => {
      throw new Error('the table is gone')
    }
    const routes: Record<string, Routing | (() => Routing)> = bench.table
    routes['ann@example.org'] = broken
    await bench.queue.requeue({})
    await bench.clock.settle()
    expect(bench.failures()).toEqual(['routing m1 again'])
    expect(await bench.entries()).toMatchObject([
      { instruction: { kind: 'requeue' }, attempts: 1, dueAt: bench.clock.now() + 60 * MINUTE, claimed: false },
    ])
    routes['ann@example.org'] = to('[new.example.net]')
    await bench.clock.advance('1h')
    expect(lanes(bench)).toEqual(['example.org', '[new.example.net]'])
    expect(await bench.entries()).toEqual([])
  })

  it('waits for its release if it was to be released later', async () => {
    const bench = await started()
    const notBefore = bench.clock.now() + 10 * MINUTE
    await bench.send({ options: { notBefore } })
    await bench.queue.requeue({})
    await bench.clock.settle()
    expect(await bench.entries()).toMatchObject([{ dueAt: notBefore, attempts: 0 }])
    expect(bench.smtp.jobs).toEqual([])
    await bench.clock.advance('10m')
    expect(bench.smtp.delivered).toEqual(['ann@example.org'])
  })

  it('finishes an attempt under way first', async () => {
    const bench = await started({ outcomes: { '*': ['450 4.2.0 later', 'ok'] }, retry: retryAfter('1h') })
    bench.smtp.pause()
    await bench.send()
    expect(await bench.queue.requeue({})).toBe(1)
    await bench.clock.settle()
    expect(bench.smtp.jobs).toHaveLength(1)
    bench.smtp.release()
    await bench.clock.settle()
    expect(bench.smtp.jobs.map((job) => job.attempt)).toEqual([1, 2])
    expect(await bench.entries()).toEqual([])
  })

  it('in hand for a slot is not tried as it was', async () => {
    const table: Record<string, Routing> = {}
    const bench = await started({ routes: table, initialConcurrency: 1, concurrencyLimit: 1 })
    bench.smtp.pause()
    await bench.send()
    await bench.send({ to: ['bob@example.org'] })
    table['@example.org'] = to('[new.example.net]')
    expect(await bench.queue.requeue({ recipient: 'bob@example.org' })).toBe(1)
    bench.smtp.release()
    await bench.clock.settle()
    expect(lanes(bench).toSorted()).toEqual(['[new.example.net]', 'example.org'])
  })

  it('survives the end of the queue between the instruction and its carrying out', async () => {
    const store = memoryStore()
    const bench = await waiting({ store })
    await bench.end()
    await store.open(bench.scope.events)
    await store.instruct({}, { kind: 'reroute', lane: 'smtp:[backup.example.net]:25' }, bench.clock.now())
    await store.close()
    const second = await started({ store })
    await second.clock.settle()
    expect(lanes(second)).toEqual(['[backup.example.net]:25'])
  })
})

describe('mail sent by another lane', () => {
  it('goes there at once', async () => {
    const bench = await waiting()
    expect(await bench.queue.reroute({ lane: 'smtp:example.org' }, BACKUP)).toBe(1)
    await bench.clock.settle()
    expect(lanes(bench)).toEqual(['example.org', '[backup.example.net]:25'])
    expect(await bench.entries()).toEqual([])
  })

  it('goes where a function of the entry says, and stays where that says nothing', async () => {
    const once = ['450 4.2.0 later', 'ok'] as const
    const bench = await waiting({
      outcomes: { 'ann@example.org': once, 'bob@example.org': once, 'eve@example.com': once },
    })
    await bench.send({ to: ['bob@example.org', 'eve@example.com'] })
    await bench.clock.settle()
    const asked: QueueEntry[] = []
    const count = await bench.queue.reroute({}, (entry) => {
      asked.push(entry)
      if (entry.message === 'm1') return undefined
      return entry.lane === 'smtp:example.com' ? BACKUP : { ...BACKUP, stream: 'slow' }
    })
    expect(asked.map((entry) => entry.message)).toEqual(['m1', 'm2', 'm2'])
    expect(count).toBe(2)
    await bench.clock.settle()
    expect(lanes(bench).slice(3).toSorted()).toEqual(['[backup.example.net]:25', '[backup.example.net]:25'])
    expect(bench.smtp.jobs.at(-1)!.lane).toMatchObject({ transport: 'smtp' })
    expect(await bench.entries()).toMatchObject([{ message: 'm1', lane: 'smtp:example.org' }])
  })

  it('is read in pages, and each entry is meant by itself', async () => {
    const bench = await waiting({ outcomes: { '*': '450 4.2.0 later' } })
    for (let sent = 0; sent < 450; sent++) await bench.send({ to: [`user${sent}@example.org`] })
    await bench.clock.settle()
    let turn = 0
    const count = await bench.queue.reroute({}, () => (turn++ % 2 === 0 ? BACKUP : undefined))
    expect([turn, count]).toEqual([451, 226])
    await bench.clock.settle()
    const stats = await bench.queue.shape()
    expect(stats.map((lane) => [lane.lane, lane.entries])).toEqual([
      ['smtp:[backup.example.net]:25', 226],
      ['smtp:example.org', 225],
    ])
  })

  it.each(['nosuch', 'error', 'operator'])(
    'cannot be sent by a transport %s that the queue does not have',
    async (transport) => {
      const bench = await waiting()
      const lane = { transport, destination: 'x' }
      await expect(bench.queue.reroute({}, lane)).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_CONFIG' })
      await expect(bench.queue.reroute({}, () => lane)).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_CONFIG' })
      expect(await bench.entries()).toMatchObject([{ lane: 'smtp:example.org', instruction: undefined }])
    },
  )
})

describe('mail expired by an operator', () => {
  it('is returned to its sender at once, with the last answer', async () => {
    const bench = await waiting()
    expect(await bench.queue.expire({ status: 'deferred' })).toBe(1)
    await bench.clock.settle()
    expect(bench.scope.events.of('recipient.settled').filter(({ message }) => message === 'm1')[1]).toMatchObject({
      lane: { destination: 'example.org' },
      outcome: { status: 'failed', reply: { code: 550, enhanced: '5.4.7' } },
    })
    const notice = bench.smtp.jobs.at(-1)!
    expect(addressees(notice)).toEqual(['sender@example.net'])
    const text = Buffer.concat([notice.message.head, notice.message.buffered!]).toString().replace(/\s+/g, ' ')
    expect(text).toContain('Expired by the operator; last: 450 4.2.0 later')
    expect(await bench.entries()).toEqual([])
  })

  it('is returned although its destination was given up, and is never tried again', async () => {
    const bench = await waiting({
      outcomes: {
        'ann@example.org': { status: 'deferred', scope: 'destination', reply: reply(451, '4.4.1', 'no') },
        '*': 'ok',
      },
      initialConcurrency: 1,
      deadFor: '1d',
    })
    await bench.queue.expire({})
    await bench.clock.settle()
    expect(bench.smtp.delivered).toEqual(['sender@example.net'])
    expect(lanes(bench).filter((destination) => destination === 'example.org')).toHaveLength(1)
  })

  it('stays expired until its sender can be told', async () => {
    const bench = await waiting()
    const routes: Record<string, Routing | (() => Routing)> = bench.table
    routes['sender@example.net'] = () => {
      throw new MailwrightError('ERR_MAILWRIGHT_UNEXPECTED', 'the table is gone')
    }
    await bench.queue.expire({})
    await bench.clock.settle()
    expect(await bench.entries()).toMatchObject([{ instruction: { kind: 'expire' } }])
    delete routes['sender@example.net']
    await bench.clock.advance('1h')
    expect(bench.smtp.delivered).toEqual(['sender@example.net'])
    expect(await bench.entries()).toEqual([])
  })

  it('of the null sender has nobody to tell', async () => {
    const bench = await started({ outcomes: { '*': '450 4.2.0 later' } })
    await bench.send({ sender: null })
    await bench.clock.settle()
    await bench.queue.expire({})
    await bench.clock.settle()
    expect(bench.scope.events.of('message.undeliverable')).toMatchObject([{ message: 'm1' }])
    expect(await bench.entries()).toEqual([])
  })

  it('is held mail only once it is released', async () => {
    const bench = await waiting()
    await bench.queue.hold({}, 'operator')
    expect(await bench.queue.expire({})).toBe(1)
    await bench.clock.settle()
    expect(bench.smtp.jobs).toHaveLength(1)
    await bench.queue.release({})
    await bench.clock.settle()
    expect(bench.smtp.delivered).toEqual(['sender@example.net'])
  })
})

describe('mail removed by an operator', () => {
  it('tells nobody', async () => {
    const bench = await waiting()
    expect(await bench.queue.remove({})).toBe(1)
    await bench.clock.advance('2h')
    expect(bench.smtp.jobs).toHaveLength(1)
    expect(bench.scope.events.of('message.bounced')).toEqual([])
  })
})

describe('a recipient refused for now beside others', () => {
  const LATER: Routing = { kind: 'refuse', reply: reply(451, '4.3.5', 'table is being rebuilt') }

  async function refusedForNow(options: BenchOptions = {}) {
    const table: Record<string, Routing | (() => Routing)> = { 'bob@example.com': LATER }
    const bench = await started({ routes: table, retry: retryAfter('10m'), ...options })
    await bench.send({ to: ['ann@example.org', 'bob@example.com'] })
    await bench.clock.settle()
    expect(bench.smtp.delivered).toEqual(['ann@example.org'])
    expect(await bench.entries()).toMatchObject([{ lane: 'error:451 4.3.5 table is being rebuilt', attempts: 1 }])
    return { ...bench, table }
  }

  it('is asked about again, and goes out when the router knows where', async () => {
    const bench = await refusedForNow()
    delete bench.table['bob@example.com']
    await bench.clock.advance('10m')
    expect(bench.smtp.delivered).toEqual(['ann@example.org', 'bob@example.com'])
    expect(await bench.entries()).toEqual([])
  })

  it('is told the new answer, and waits on', async () => {
    const bench = await refusedForNow()
    bench.table['bob@example.com'] = { kind: 'refuse', reply: reply(450, '4.7.1', 'another reason') }
    await bench.clock.advance('10m')
    const [entry] = await bench.entries()
    expect(entry).toMatchObject({ attempts: 2, dueAt: bench.clock.now() + 10 * MINUTE })
    expect(entry!.recipients[0]!.lastReply).toBe('450 4.7.1 another reason')
  })

  it('is returned when the router has found out that there is nobody', async () => {
    const bench = await refusedForNow()
    bench.table['bob@example.com'] = { kind: 'refuse', reply: reply(550, '5.1.1', 'no such user') }
    await bench.clock.advance('10m')
    expect(bench.smtp.delivered).toEqual(['ann@example.org', 'sender@example.net'])
    expect(await bench.entries()).toEqual([])
  })

  it('keeps its answer while the router fails', async () => {
    const bench = await refusedForNow()
    bench.table['bob@example.com'] = () => {
      throw new Error('the table is gone')
    }
    await bench.clock.advance('10m')
    expect(bench.failures()).toEqual(['routing m1 again'])
    const [entry] = await bench.entries()
    expect(entry!.recipients[0]!.lastReply).toBe('451 4.3.5 table is being rebuilt')
    expect(entry).toMatchObject({ attempts: 2 })
  })

  it('goes alone when others with it are still refused', async () => {
    const table: Record<string, Routing> = { 'bob@example.com': LATER, 'eve@example.com': LATER }
    const bench = await started({ routes: table, retry: retryAfter('10m') })
    await bench.send({ to: ['ann@example.org', 'bob@example.com', 'eve@example.com'] })
    await bench.clock.settle()
    delete table['bob@example.com']
    await bench.clock.advance('10m')
    expect(bench.smtp.delivered).toEqual(['ann@example.org', 'bob@example.com'])
    const [entry, ...more] = await bench.entries()
    expect(more).toEqual([])
    expect(entry!.recipients.map(({ address }) => address.local)).toEqual(['eve'])
    expect(entry).toMatchObject({ attempts: 2, dueAt: bench.clock.now() + 10 * MINUTE })
  })

  it('is returned in the end, when it is never known where to', async () => {
    const bench = await refusedForNow({ lifetime: '1h' })
    await bench.clock.advance('1h')
    expect(bench.smtp.delivered).toEqual(['ann@example.org', 'sender@example.net'])
    expect(await bench.entries()).toEqual([])
  })
})
