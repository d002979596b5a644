/** Mail that is claimed and waits for a slot: what happens to it in the store must still reach it. */
import { laneKey, MailwrightError, type QueueStore } from '@mailwright/core'
import { deferred } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { memoryStore } from './memory-store.ts'
import { retryAfter } from './retry.ts'
import { faultyStore } from './testing-support/faulty-store.ts'
import { addressees, type BenchOptions, CALL, caredFor, type QueueBench } from './testing-support/queue-bench.ts'

const LANE = laneKey({ transport: 'smtp', destination: 'example.org' })
const started = caredFor()

/** One attempt is under way, at `m1` to ann; `m2` to bob and `m3` to eve are in hand behind it. */
async function inHand(options: BenchOptions = {}): Promise<QueueBench> {
  const bench = await started({ initialConcurrency: 1, concurrencyLimit: 1, ...options })
  bench.smtp.pause()
  for (const name of ['ann', 'bob', 'eve']) await bench.send({ to: [`${name}@example.org`] })
  expect(await bench.entries()).toMatchObject([{ claimed: true }, { claimed: true }, { claimed: true }])
  expect(bench.smtp.jobs).toHaveLength(1)
  return bench
}

/** A store of which another process tells, when the test says so. */
function sharedStore(): { readonly store: QueueStore; readonly operator: () => void } {
  const inner = memoryStore()
  let tell: (by: 'operator' | 'mail') => void = () => undefined
  const { store } = faultyStore(inner)
  const onArrival: QueueStore['onArrival'] = (listener) => {
    tell = listener
    return store.onArrival(listener)
  }
  return { store: { ...store, onArrival }, operator: () => tell('operator') }
}

describe('mail in hand', () => {
  it('is not tried when an operator removes it, and the rest goes on', async () => {
    const { queue, smtp, clock, entries, failures } = await inHand()
    expect(await queue.remove({ recipient: 'bob@example.org' })).toBe(1)
    smtp.release()
    await clock.settle()
    expect(smtp.delivered).toEqual(['ann@example.org', 'eve@example.org'])
    expect(await entries()).toEqual([])
    expect(failures()).toEqual([])
  })

  it('is not tried when an operator holds it, until it is released', async () => {
    const { queue, smtp, clock, entries } = await inHand()
    expect(await queue.hold({ messages: ['m2', 'm3'], held: false }, 'suspicious')).toBe(2)
    smtp.release()
    await clock.settle()
    expect(smtp.delivered).toEqual(['ann@example.org'])
    expect(await entries()).toMatchObject([
      { message: 'm2', held: 'suspicious', claimed: false, attempts: 0 },
      { message: 'm3', held: 'suspicious', claimed: false, attempts: 0 },
    ])
    await queue.release({})
    await clock.settle()
    expect(smtp.delivered).toHaveLength(3)
  })

  it('is not tried when an operator holds it and the store breaks in the middle of that', async () => {
    const { store } = faultyStore()
    const hold: QueueStore['hold'] = async (...given) => {
      await store.hold(...given)
      throw new MailwrightError('ERR_MAILWRIGHT_STORE', 'the second half cannot be written')
    }
    const { queue, smtp, clock } = await inHand({ store: { ...store, hold } })
    await expect(queue.hold({ messages: ['m2'] }, 'suspicious')).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_STORE' })
    smtp.release()
    await clock.settle()
    expect(smtp.delivered).toEqual(['ann@example.org', 'eve@example.org'])
  })

  it('stays in hand when an operator changes nothing', async () => {
    const { queue, faults } = await inHand()
    expect(await queue.hold({ messages: ['other'] }, 'suspicious')).toBe(0)
    expect(await queue.remove({ recipient: '@example.com' })).toBe(0)
    expect(faults.count('settle')).toBe(0)
  })

  it('is not tried when an operator of another process removes or holds it', async () => {
    const { store, operator } = sharedStore()
    const { smtp, clock, entries } = await inHand({ store })
    await store.remove({ messages: ['m2'] })
    await store.hold({ messages: ['m3'] }, 'suspicious')
    operator()
    await clock.settle()
    smtp.release()
    await clock.settle()
    expect(smtp.delivered).toEqual(['ann@example.org'])
    expect(await entries()).toMatchObject([{ message: 'm3', held: 'suspicious', claimed: false }])
  })

  it('is tried in its old order after it was given back', async () => {
    const { store, operator } = sharedStore()
    const { smtp, clock, send } = await inHand({ store })
    await clock.advance('1m')
    operator()
    await clock.settle()
    await send({ to: ['zoe@example.org'] })
    smtp.release()
    await clock.settle()
    expect(smtp.jobs.flatMap(addressees)).toEqual(['ann', 'bob', 'eve', 'zoe'].map((name) => `${name}@example.org`))
  })

  it('keeps its leases while it waits, and is not tried by us once somebody else has it', async () => {
    const { store, smtp, clock, faults, failures, entries } = await inHand({ lease: '3m' })
    await clock.advance('30m')
    expect(await store.claim({ lane: LANE, now: clock.now(), limit: 10, leaseMs: 1_000 })).toEqual([])
    // The store lost both leases, and another worker was quicker than we are with one of them.
    faults.fail('renew', 3, new MailwrightError('ERR_MAILWRIGHT_CLAIM_LOST', 'lost'))
    await store.remove({ messages: ['m2'] })
    await clock.advance('1m')
    smtp.release()
    await clock.settle()
    expect(smtp.delivered).toEqual(['ann@example.org', 'eve@example.org'])
    expect(failures()).toEqual([])
    expect(await entries()).toEqual([])
  })

  it('is given back when its destination is dead, and tried when that is back', async () => {
    let up = false
    const { smtp, clock, entries } = await inHand({
      outcomes: () => (up ? 'ok' : deferred('421 4.4.1 no answer', 'destination')),
      retry: retryAfter('1m'),
      deadFor: '10m',
    })
    smtp.release()
    await clock.settle()
    expect(smtp.jobs).toHaveLength(1)
    expect(await entries()).toMatchObject([{ attempts: 1 }, { attempts: 0 }, { attempts: 0 }])
    expect((await entries()).every(({ claimed }) => !claimed)).toBe(true)
    up = true
    await clock.advance('10m')
    expect(smtp.delivered).toHaveLength(3)
  })

  it('is found again after its lease when the store does not take it back', async () => {
    const { queue, smtp, clock, faults, failures, entries } = await inHand({ lease: '3m' })
    faults.fail('settle', 2)
    await queue.hold({ messages: ['m2', 'm3'] }, 'suspicious')
    expect(failures()).toEqual(['handing back m2', 'handing back m3'])
    await queue.release({})
    smtp.release()
    await clock.advance('7m')
    expect(smtp.delivered).toHaveLength(3)
    expect(await entries()).toEqual([])
  })

  it('goes back to the store at shutdown, in its old order', async () => {
    const bench = await inHand()
    await bench.clock.advance('1m')
    const draining = bench.queue.drain!(CALL)
    await bench.clock.settle()
    const waiting = await bench.store.claim({ lane: LANE, now: bench.clock.now() - 60_000, limit: 9, leaseMs: 1 })
    expect(waiting.map(({ entry }) => entry.message)).toEqual(['m2', 'm3'])
    bench.smtp.release()
    await draining
    expect(bench.smtp.delivered).toHaveLength(1)
  })
})
