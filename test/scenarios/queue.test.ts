/** What a queue promises, over every store there is, with restarts in between. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Lane, reply } from '@mailwright/core'
import { memoryStore, memorySuppressions } from '@mailwright/queue'
import { redisStore } from '@mailwright/redis'
import { lmdbStore } from '@mailwright/store-lmdb'
import { mailbox } from '@mailwright/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { launch, WITHOUT_SERVER } from '../../packages/redis/src/testing-support/server-process.ts'
import { type LifeOptions, type QueueLife, queueLife, type StorePlace } from './queue-life.ts'

const MINUTE = 60_000
const BACKUP: Lane = { transport: 'smtp', destination: '[backup.example.net]:25' }

describe('over memory', () => {
  // A restart in the same process keeps what was not lost with it.
  scenarios(async () => {
    const store = memoryStore()
    return { open: () => store, dispose: async () => {} }
  })
})

describe('over LMDB', () => {
  scenarios(async () => {
    const directory = await mkdtemp(join(tmpdir(), 'mailwright-scenario-'))
    return {
      open: () => lmdbStore({ directory, minFree: 0 }),
      dispose: () => rm(directory, { recursive: true, force: true }),
    }
  })
})

describe.skipIf(WITHOUT_SERVER !== undefined)('over Redis', () => {
  scenarios(async () => {
    const server = await launch()
    return {
      open: () => redisStore({ connection: { path: server.path }, name: 'scenario', clock: 'caller' }),
      dispose: server.dispose,
    }
  })
})

function scenarios(makePlace: () => Promise<StorePlace>): void {
  async function life(options: LifeOptions = {}): Promise<QueueLife> {
    const place = await makePlace()
    const started = await queueLife(place, options)
    onTestFinished(async () => {
      await started.end()
      await place.dispose()
    })
    return started
  }

  it('mail is delivered, and nothing of it stays', async () => {
    const { send, smtp, entries, queue } = await life()
    await send({ to: ['ann@example.org', 'bob@example.org', 'eve@example.com'] })
    expect(smtp.delivered.toSorted()).toEqual(['ann@example.org', 'bob@example.org', 'eve@example.com'])
    expect(smtp.jobs).toHaveLength(2)
    expect(await entries()).toEqual([])
    expect(await queue.stats()).toMatchObject({ messages: 0, entries: 0, deferred: 0, bytes: 0 })
  })

  it('only who was deferred is tried again, when its time has come, also after a restart', async () => {
    const it = await life({ outcomes: { 'ann@example.org': ['450 4.2.0 later', 'ok'], '*': 'ok' }, retry: '5m' })
    await it.send({ to: ['ann@example.org', 'bob@example.org'] })
    expect(it.smtp.delivered).toEqual(['bob@example.org'])
    await it.clock.advance(4 * MINUTE)
    await it.restart()
    expect(it.smtp.jobs).toHaveLength(1)
    expect(await it.entries()).toMatchObject([{ attempts: 1, recipients: [{ lastReply: '450 4.2.0 later' }] }])
    await it.clock.advance(MINUTE)
    expect(it.smtp.delivered).toEqual(['bob@example.org', 'ann@example.org'])
    expect(await it.entries()).toEqual([])
  })

  it('who fails is returned to the sender, once, and a notice that fails is not', async () => {
    const it = await life({ outcomes: { 'ann@example.org': '550 5.1.1 no such user', '*': ['451 4.3.0 later', 'ok'] } })
    await it.send()
    await it.restart()
    expect(it.scope.events.of('message.bounced')).toHaveLength(1)
    await it.clock.advance('10m')
    expect(it.smtp.delivered).toEqual(['sender@example.net'])
    await it.send({ sender: null })
    expect(it.scope.events.of('message.bounced')).toHaveLength(1)
    expect(it.scope.events.of('message.undeliverable')).toHaveLength(1)
    expect(await it.entries()).toEqual([])
  })

  it('mail that is too old is returned', async () => {
    const it = await life({ outcomes: { 'ann@example.org': '450 4.2.0 later', '*': 'ok' }, lifetime: '1d' })
    await it.send()
    await it.clock.advance('12h')
    await it.restart()
    expect(it.smtp.delivered).toEqual([])
    await it.clock.advance('14h')
    expect(it.smtp.delivered).toEqual(['sender@example.net'])
    expect(await it.entries()).toEqual([])
  })

  it('a sender is told once that mail is late', async () => {
    const it = await life({ outcomes: { 'ann@example.org': '450 4.2.0 later', '*': 'ok' }, warnAfter: '4h' })
    await it.send()
    await it.clock.advance('5h')
    await it.restart()
    await it.clock.advance('5h')
    expect(it.smtp.delivered).toEqual(['sender@example.net'])
    expect(await it.entries()).toMatchObject([{ message: 'm1', warned: true }])
  })

  it('held mail waits for its release, over restarts', async () => {
    const it = await life({ outcomes: { 'ann@example.org': ['450 4.2.0 later', 'ok'] } })
    await it.send()
    expect(await it.clock.until(it.queue.hold({ sender: 'sender@example.net' }, 'looks odd'))).toBe(1)
    await it.restart()
    await it.clock.advance('2h')
    expect(it.smtp.delivered).toEqual([])
    expect(await it.entries()).toMatchObject([{ held: 'looks odd' }])
    expect(await it.clock.until(it.queue.release({ held: true }))).toBe(1)
    await it.clock.settle()
    expect(it.smtp.delivered).toEqual(['ann@example.org'])
  })

  it('mail is put back for routing, sent elsewhere, or returned, as operators say', async () => {
    let route: LifeOptions['route']
    const it = await life({
      outcomes: (_, job) => (job.lane!.destination === 'example.org' ? '450 4.2.0 later' : 'ok'),
      route: (address) => route?.(address),
      retry: '1h',
    })
    await it.send()
    await it.send({ to: ['bob@example.org'] })
    await it.send({ to: ['eve@example.org'] })
    route = (address) =>
      address.startsWith('ann') ? { kind: 'send', lane: { transport: 'smtp', destination: 'new.example' } } : undefined
    expect(await it.clock.until(it.queue.requeue({ messages: ['m1'] }))).toBe(1)
    expect(await it.clock.until(it.queue.reroute({ messages: ['m2'] }, BACKUP))).toBe(1)
    expect(await it.clock.until(it.queue.expire({ messages: ['m3'] }))).toBe(1)
    await it.clock.settle()
    expect(
      it.smtp.jobs
        .slice(3)
        .map((job) => job.lane!.destination)
        .toSorted(),
    ).toEqual(['[backup.example.net]:25', 'example.net', 'new.example'])
    expect(it.smtp.delivered.toSorted()).toEqual(['ann@example.org', 'bob@example.org', 'sender@example.net'])
    expect(await it.entries()).toEqual([])
  })

  it('mail of a suspended destination or label waits, over restarts, and goes when that ends', async () => {
    const it = await life()
    await it.clock.until(it.queue.suspend({ kind: 'lane', lane: 'smtp:example.org' }, { reason: 'migration' }))
    await it.clock.until(
      it.queue.suspend(
        { kind: 'label', label: 'tenant', value: 'acme' },
        { reason: 'unpaid', until: it.clock.now() + 60 * MINUTE },
      ),
    )
    await it.send()
    await it.send({ to: ['bob@example.com'], options: { labels: { tenant: 'acme' } } })
    await it.send({ to: ['eve@example.com'] })
    await it.restart()
    await it.clock.advance('30m')
    expect(it.smtp.delivered).toEqual(['eve@example.com'])
    expect(await it.entries()).toMatchObject([{ attempts: 0 }, { attempts: 0 }])
    await it.clock.advance('40m')
    expect(it.smtp.delivered).toEqual(['eve@example.com', 'bob@example.com'])
    expect(await it.clock.until(it.queue.resume({ kind: 'lane', lane: 'smtp:example.org' }))).toBe(true)
    await it.clock.settle()
    expect(it.smtp.delivered).toEqual(['eve@example.com', 'bob@example.com', 'ann@example.org'])
  })

  it('mail for later is not sent before, whatever happens meanwhile', async () => {
    const it = await life()
    const notBefore = it.clock.now() + 60 * MINUTE
    await it.send({ options: { notBefore } })
    await it.clock.until(it.queue.flush({}))
    await it.restart()
    await it.clock.advance('59m')
    expect(it.smtp.jobs).toEqual([])
    await it.clock.advance('1m')
    expect(it.smtp.delivered).toEqual(['ann@example.org'])
  })

  it('a destination that is down is left alone, and its mail goes when it is up', async () => {
    let up = false
    const it = await life({
      outcomes: () =>
        up ? 'ok' : { status: 'deferred', scope: 'destination', reply: reply(451, '4.4.1', 'no answer') },
      initialConcurrency: 1,
      deadFor: '10m',
      retry: '1m',
    })
    for (let message = 0; message < 5; message++) await it.send({ to: [`user${message}@example.org`] })
    await it.clock.advance('9m')
    expect(it.smtp.jobs).toHaveLength(1)
    up = true
    await it.clock.advance('2m')
    expect(it.smtp.delivered).toHaveLength(5)
    expect(await it.entries()).toEqual([])
  })

  it('a limit by label paces mail, and counts no attempt', async () => {
    const it = await life({ limits: [{ by: 'tenant', rate: { count: 60, perMs: 60 * MINUTE } }] })
    for (let message = 0; message < 4; message++)
      await it.send({ to: [`user${message}@example.org`], options: { labels: { tenant: 'acme' } } })
    expect(it.smtp.delivered).toHaveLength(1)
    await it.clock.advance(MINUTE)
    expect(it.smtp.delivered).toHaveLength(2)
    await it.clock.advance(2 * MINUTE)
    expect(it.smtp.delivered).toHaveLength(4)
    expect(it.smtp.jobs.map((job) => job.attempt)).toEqual([1, 1, 1, 1])
  })

  it('a giant message and a suppressed recipient do not stand in anybody’s way', async () => {
    const suppressions = memorySuppressions()
    const it = await life({ suppressions, recipientLimit: 1, maxAttempts: 4 })
    const gone = mailbox('gone@example.org')
    await suppressions.add({ address: gone, cause: 'bounce', reason: '550 5.1.1', since: it.clock.now() })
    await it.send({ to: [...Array.from({ length: 40 }, (_, index) => `user${index}@example.org`), 'gone@example.org'] })
    await it.send({ to: ['ann@example.org'] })
    await it.clock.settle()
    expect(it.smtp.delivered).toHaveLength(42)
    expect(it.smtp.delivered).toContain('sender@example.net')
    expect(it.smtp.delivered).not.toContain('gone@example.org')
    expect(await it.entries()).toEqual([])
  })

  it('operators see what waits, by age and lane', async () => {
    const it = await life({ outcomes: { '*': '450 4.2.0 later' }, retry: '2h' })
    await it.send()
    await it.send({ to: ['bob@example.com'] })
    await it.clock.advance('1h')
    await it.send({ to: ['eve@example.org'] })
    await it.restart()
    expect(await it.clock.until(it.queue.stats())).toMatchObject({ messages: 3, entries: 3, deferred: 3, held: 0 })
    expect(await it.clock.until(it.queue.shape({ ages: [30 * MINUTE, 90 * MINUTE] }))).toEqual([
      { lane: 'smtp:example.org', entries: 2, ages: [1, 1, 0] },
      { lane: 'smtp:example.com', entries: 1, ages: [0, 1, 0] },
    ])
    expect(await it.clock.until(it.queue.remove({ recipient: '@example.org' }))).toBe(2)
    expect(await it.entries()).toHaveLength(1)
  })
}
