import { getEventListeners } from 'node:events'
import type { MessageSource } from '@mailwright/core'
import { describe, expect, it } from 'vitest'
import { call, job, summary, world } from './testing-support/world.ts'

const silentAt = (stage: string) => ({
  answer: (command: string) => (command.startsWith(stage) ? ({ and: 'silence' } as const) : undefined),
})

describe('shutdown', () => {
  it('says QUIT on idle connections and waits for busy ones', async () => {
    let finish = (): void => undefined
    const { environment, transport, server, end } = await world(
      {},
      {
        answer: (command, visit) =>
          command === '<message>' && visit.messages.at(-1)!.includes('slow')
            ? new Promise((resolve) => {
                finish = () => resolve(undefined)
              })
            : undefined,
      },
    )
    const { clock } = environment
    await clock.until(transport.deliver(job(), call))
    const slow = transport.deliver(job({ text: 'A: slow\r\n\r\n' }), call)
    await clock.settle()
    let drained = 'no'
    const drain = transport.drain!(call).then(() => {
      drained = 'yes'
    })
    await clock.settle()
    expect(drained).toBe('no')
    expect(summary(await transport.deliver(job(), call))).toEqual([
      'deferred message 451 4.3.2 the mail system is shutting down',
    ])
    finish()
    expect(summary(await clock.until(slow))[0]).toMatch(/^ok/)
    await clock.until(drain)
    expect(server.visits.at(-1)!.commands.at(-1)).toBe('QUIT')
    await end()
  })

  it('is at once when nothing is open', async () => {
    const { transport, end } = await world()
    await transport.drain!(call)
    await end()
  })

  it('waits no longer than its signal', async () => {
    const { environment, transport, end } = await world({}, silentAt('MAIL'))
    const delivery = transport.deliver(job(), call)
    await environment.clock.settle()
    const grace = new AbortController()
    const drain = transport.drain!({ signal: grace.signal })
    grace.abort()
    await drain
    await transport.stop!()
    expect(summary(await delivery)[0]).toMatch(/^deferred message 451 4\.3\.2/)
    await end()
  })

  it.each(['<greeting>', 'EHLO', 'MAIL', 'DATA', '<message>'])('at %s defers what is in hand', async (stage) => {
    const { environment, transport, end } = await world({ maxConnectionsPerDestination: 1 }, silentAt(stage))
    const deliveries = [1, 2, 3].map(() => transport.deliver(job(), call))
    await environment.clock.settle()
    await transport.stop!()
    for (const outcomes of await Promise.all(deliveries)) {
      expect(summary(outcomes)[0]).toMatch(/^deferred message 451 4\.3\.2/)
    }
    await end()
  })
})

describe('a caller that gives up', () => {
  it.each(['<greeting>', 'EHLO', 'MAIL', 'RCPT', 'DATA', '<message>'])(
    'at %s is told so, and the connection is closed',
    async (stage) => {
      const { environment, transport, end } = await world({}, silentAt(stage))
      const { clock } = environment
      const patience = new AbortController()
      const delivery = transport.deliver(job(), { signal: patience.signal })
      await clock.settle()
      expect(environment.net.open).toBe(2)
      patience.abort(new Error('enough'))
      await expect(delivery).rejects.toThrow('enough')
      await clock.settle()
      expect(environment.net.open).toBe(0)
      expect(clock.pending).toBe(0)
      await end()
    },
  )

  it('is listened to once, however much it asks for', async () => {
    const { transport, environment, end } = await world()
    const patience = new AbortController()
    await environment.clock.until(transport.deliver(job(), { signal: patience.signal }))
    await environment.clock.until(transport.deliver(job(), { signal: patience.signal }))
    expect(getEventListeners(patience.signal, 'abort')).toHaveLength(1)
    patience.abort()
    expect(summary(await environment.clock.until(transport.deliver(job(), call)))[0]).toMatch(/^ok/)
    expect(environment.net.attempts).toHaveLength(1)
    await end()
  })

  it('before it began is told so at once', async () => {
    const { environment, transport, end } = await world()
    await expect(transport.deliver(job(), { signal: AbortSignal.abort(new Error('no')) })).rejects.toThrow('no')
    expect(environment.net.attempts).toHaveLength(0)
    await end()
  })

  it('while connecting leaves nothing open', async () => {
    const { environment, transport, end } = await world({}, {}, { network: { faults: () => ({ blackhole: true }) } })
    const patience = new AbortController()
    const delivery = transport.deliver(job(), { signal: patience.signal })
    await environment.clock.settle()
    patience.abort(new Error('enough'))
    await expect(delivery).rejects.toThrow('enough')
    await environment.clock.settle()
    expect(environment.clock.pending).toBe(0)
    await end()
  })

  it('while its envelope is staged does not harm the message before, and its own is never sent', async () => {
    let finish = (): void => undefined
    const { environment, transport, server, end } = await world(
      {},
      {
        answer: (command, visit) =>
          command === '<message>' && visit.nth === 1
            ? new Promise((resolve) => {
                finish = () => resolve(undefined)
              })
            : undefined,
      },
    )
    const { clock } = environment
    const first = transport.deliver(job(), call)
    await clock.settle()
    const patience = new AbortController()
    const second = transport.deliver(job(), { signal: patience.signal })
    await clock.settle()
    expect(server.visits[0]!.pieces.at(-1)).toContain('MAIL')
    patience.abort(new Error('enough'))
    await expect(second).rejects.toThrow('enough')
    finish()
    expect(summary(await clock.until(first))[0]).toMatch(/^ok/)
    await clock.settle()
    expect(server.messages).toHaveLength(1)
    expect(environment.net.open).toBe(0)
    await end()
  })

  it('in the middle does not harm the envelope staged behind it', async () => {
    const { environment, transport, server, end } = await world(
      {},
      { answer: (command, visit) => (command === '<message>' && visit.nth === 1 ? { and: 'silence' } : undefined) },
    )
    const { clock } = environment
    const patience = new AbortController()
    const first = transport.deliver(job(), { signal: patience.signal })
    await clock.settle()
    const second = transport.deliver(job({ text: 'N: 2\r\n\r\n' }), call)
    await clock.settle()
    patience.abort(new Error('enough'))
    await expect(first).rejects.toThrow('enough')
    expect(summary(await clock.until(second))[0]).toMatch(/^ok/)
    expect(server.visits[1]!.messages).toEqual(['N: 2\r\n\r\n'])
    await end()
  })

  it('while a long message is being read stops the reading', async () => {
    const { environment, transport, server, end } = await world()
    const patience = new AbortController()
    const message: MessageSource = {
      head: Buffer.from('A: b\r\n\r\n'),
      size: 1_000,
      async *body(reader) {
        yield Buffer.from('x')
        await new Promise((_, reject) => reader.signal.addEventListener('abort', () => reject(reader.signal.reason)))
      },
    }
    const delivery = transport.deliver(job({ message }), { signal: patience.signal })
    await environment.clock.settle()
    patience.abort(new Error('enough'))
    await expect(delivery).rejects.toThrow('enough')
    await environment.clock.settle()
    expect(server.messages).toEqual([])
    await end()
  })
})
