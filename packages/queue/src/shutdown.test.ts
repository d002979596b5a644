import { describe, expect, it } from 'vitest'
import { CALL, caredFor, queueBench, startedQueue } from './testing-support/queue-bench.ts'

const started = caredFor()

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
