import { describe, expect, it } from 'vitest'
import { PATIENCE_MS } from './dispatch-policy.ts'
import { call, job, summary, world } from './testing-support/world.ts'

/** Something a test lets happen when it wants. */
function gate(): { readonly opened: Promise<undefined>; open(): void } {
  let open = (): void => undefined
  const opened = new Promise<undefined>((resolve) => {
    open = () => resolve(undefined)
  })
  return { opened, open: () => open() }
}

const texts = (count: number): string[] => Array.from({ length: count }, (_, n) => `N: ${n}\r\n\r\nbody ${n}\r\n`)

describe('connections', () => {
  it('are kept: the next message asks no DNS, connects nowhere, and introduces nobody', async () => {
    const { deliver, environment, server, end } = await world()
    await deliver()
    const questions = environment.dns.questions.length
    await environment.clock.advance('1s')
    expect(summary(await deliver())[0]).toMatch(/^ok/)
    expect(environment.dns.questions).toHaveLength(questions)
    expect(environment.net.attempts).toHaveLength(1)
    expect(server.visits[0]!.pieces).toHaveLength(5)
    await end()
  })

  it('without work say QUIT after the idle time, and leave no timer', async () => {
    const { deliver, environment, server, end } = await world({ idleTimeout: '2s' })
    await deliver()
    await environment.clock.advance(1_999)
    expect(server.visits[0]!.commands).not.toContain('QUIT')
    await environment.clock.advance(1)
    expect(server.visits[0]!.commands.at(-1)).toBe('QUIT')
    expect(server.visits[0]!.state).toBe('closed')
    expect(environment.clock.pending).toBe(0)
    expect(environment.net.open).toBe(0)
    await end()
  })

  it('that get no answer to QUIT are closed all the same', async () => {
    const { deliver, environment, end } = await world(
      {},
      { answer: (command) => (command === 'QUIT' ? { and: 'silence' } : undefined) },
    )
    await deliver()
    await environment.clock.advance('10s')
    expect(environment.clock.pending).toBe(0)
    await end()
  })

  it('take no more than their share of messages', async () => {
    const { deliver, environment, server, end } = await world({ maxMessagesPerConnection: 2 })
    for (let n = 0; n < 5; n++) expect(summary(await deliver())[0]).toMatch(/^ok/)
    await environment.clock.settle()
    expect(server.visits.map((visit) => visit.messages.length)).toEqual([2, 2, 1])
    expect(server.visits[0]!.commands.at(-1)).toBe('QUIT')
    await end()
  })

  it('are not kept for ever, however busy', async () => {
    const { deliver, environment, server, end } = await world({ maxConnectionAge: '5s' })
    for (let n = 0; n < 7; n++) {
      await deliver()
      await environment.clock.advance('1s')
    }
    expect(server.visits).toHaveLength(2)
    await end()
  })

  it('are as many as the limit allows and no more', async () => {
    const hold = gate()
    const { environment, transport, server, end } = await world(
      { maxConnectionsPerDestination: 3 },
      { answer: (command) => (command.startsWith('MAIL') ? hold.opened : undefined) },
    )
    const { clock } = environment
    const deliveries = texts(20).map((text) => transport.deliver(job({ text }), call))
    await clock.advance('2s')
    expect(server.visits).toHaveLength(3)
    hold.open()
    for (const outcomes of await clock.until(Promise.all(deliveries))) expect(summary(outcomes)[0]).toMatch(/^ok/)
    expect(server.messages.toSorted()).toEqual(texts(20).toSorted())
    await end()
  })

  it('to other destinations are none of their business', async () => {
    const { deliver, environment, end } = await world(
      {},
      {},
      {
        zones: {
          'example.org': { MX: [[10, 'mx.example.org']] },
          'example.com': { MX: [[10, 'mx.example.com']] },
          'mx.example.org': { A: ['192.0.2.25'] },
          'mx.example.com': { A: ['192.0.2.99'] },
        },
      },
    )
    expect(summary(await deliver(job({ destination: 'example.com' })))[0]).toContain('4.4.1')
    expect(summary(await deliver())[0]).toMatch(/^ok/)
    expect(environment.net.attempts).toHaveLength(2)
    await end()
  })

  it('are not opened again at once where the server allows only so many', async () => {
    const hold = gate()
    const { environment, transport, server, end } = await world(
      {},
      {
        answer: (command, visit) =>
          command === '<greeting>' && visit.nth > 1
            ? { say: '421 4.7.0 too many connections\r\n', and: 'close' }
            : command === '<message>' && visit.messages.length === 1
              ? hold.opened
              : undefined,
      },
    )
    const { clock } = environment
    const deliveries = texts(6).map((text) => transport.deliver(job({ text }), call))
    await clock.advance('5s')
    // Those of the first rush, and none in the five seconds after.
    expect(server.visits.length).toBe(3)
    hold.open()
    for (const outcomes of await clock.until(Promise.all(deliveries))) expect(summary(outcomes)[0]).toMatch(/^ok/)
    await end()
  })

  it('that nobody answers are given up, whenever each of them was begun', async () => {
    const { environment, transport, end } = await world({}, {}, { network: { faults: () => ({ blackhole: true }) } })
    const { clock } = environment
    const deliveries: Promise<unknown>[] = []
    for (let n = 0; n < 6; n++) {
      deliveries.push(transport.deliver(job(), call))
      await clock.advance('6s')
    }
    await clock.until(Promise.all(deliveries), '2m')
    for (const delivery of deliveries) expect(await delivery).toMatchObject(new Map([[1, { status: 'deferred' }]]))
    await end()
  })

  it('that are being made cost no timer beside their own', async () => {
    const { environment, transport, end } = await world({}, {}, { network: { faults: () => ({ blackhole: true }) } })
    const { clock } = environment
    const delivery = transport.deliver(job(), call)
    await clock.advance('1s')
    expect(clock.pending).toBe(1)
    expect(summary(await clock.until(delivery))[0]).toMatch(/^deferred destination/)
    await end()
  })
})

describe('an envelope behind a message', () => {
  it('goes in the same write as the final dot before it', async () => {
    const { environment, transport, server, end } = await world({ maxConnectionsPerDestination: 1 })
    const deliveries = texts(3).map((text) => transport.deliver(job({ text }), call))
    const all = await environment.clock.until(Promise.all(deliveries))
    for (const outcomes of all) expect(summary(outcomes)[0]).toMatch(/^ok/)
    const envelope = 'MAIL FROM:<ann@example.net> SIZE=16\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n'
    expect(server.visits[0]!.pieces).toEqual([
      'EHLO relay.example.net\r\n',
      envelope,
      `N: 0\r\n\r\nbody 0\r\n.\r\n${envelope}`,
      `N: 1\r\n\r\nbody 1\r\n.\r\n${envelope}`,
      'N: 2\r\n\r\nbody 2\r\n.\r\n',
    ])
    await end()
  })

  it('goes there also when it comes while the message waits for its answer', async () => {
    const hold = gate()
    const { environment, transport, server, end } = await world(
      {},
      {
        answer: (command, visit) => (command === '<message>' && visit.messages.length === 1 ? hold.opened : undefined),
      },
    )
    const { clock } = environment
    const first = transport.deliver(job({ text: 'N: 1\r\n\r\n' }), call)
    await clock.settle()
    const second = transport.deliver(job({ text: 'N: 2\r\n\r\n' }), call)
    await clock.settle()
    expect(server.visits[0]!.pieces.at(-1)).toMatch(/^MAIL.*DATA\r\n$/s)
    hold.open()
    expect(summary((await clock.until(Promise.all([first, second])))[1])[0]).toMatch(/^ok/)
    expect(server.visits).toHaveLength(1)
    await end()
  })

  it('is not sent to a server without PIPELINING', async () => {
    const { environment, transport, server, end } = await world(
      { maxConnectionsPerDestination: 1 },
      { capabilities: [] },
    )
    const deliveries = texts(3).map((text) => transport.deliver(job({ text }), call))
    await environment.clock.until(Promise.all(deliveries))
    expect(server.visits[0]!.pieces).toHaveLength(1 + 3 * 4)
    expect(server.messages).toEqual(texts(3))
    await end()
  })

  it('gets its own outcomes, whatever becomes of the message before', async () => {
    const { environment, transport, end } = await world(
      { maxConnectionsPerDestination: 1 },
      {
        answer: (command, visit) =>
          command.includes('<never@')
            ? '550 5.1.1 no'
            : command === '<message>' && visit.messages.at(-1)!.includes('spam')
              ? '554 5.7.1 spam'
              : undefined,
      },
    )
    const outcomes = await environment.clock.until(
      Promise.all([
        transport.deliver(job({ text: 'A: spam\r\n\r\n' }), call),
        transport.deliver(job({ to: ['never@example.org', 'bob@example.org'] }), call),
        transport.deliver(job({ to: ['never@example.org'] }), call),
        transport.deliver(job(), call),
      ]),
    )
    const all = outcomes.flatMap(summary).map((line) => line.slice(0, 16))
    expect(all).toEqual([
      'failed 554 5.7.1',
      'failed 550 5.1.1',
      'ok 250 2.0.0 hos',
      'failed 550 5.1.1',
      'ok 250 2.0.0 hos',
    ])
    await end()
  })

  it.each(['close', 'reset'] as const)('goes by another connection when its own is lost (%s)', async (and) => {
    const { environment, transport, server, end } = await world(
      { maxConnectionsPerDestination: 1 },
      { answer: (command, visit) => (command === '<message>' && visit.nth === 1 ? { and } : undefined) },
    )
    const outcomes = await environment.clock.until(
      Promise.all([
        transport.deliver(job({ text: 'N: 1\r\n\r\n' }), call),
        transport.deliver(job({ text: 'N: 2\r\n\r\n' }), call),
      ]),
    )
    expect(summary(outcomes[0])[0]).toMatch(/^deferred message 451 4\.4\.2 lost connection .* after end of data/)
    expect(summary(outcomes[1])[0]).toMatch(/^ok/)
    expect(server.visits[0]!.pieces.at(-1)).toContain('MAIL FROM')
    expect(server.visits[1]!.messages).toEqual(['N: 2\r\n\r\n'])
    await end()
  })

  it('is forgiven one lost connection, not two', async () => {
    const { environment, transport, server, end } = await world(
      { maxConnectionsPerDestination: 1 },
      { answer: (command, visit) => (command === '<message>' && visit.nth <= 2 ? { and: 'close' } : undefined) },
    )
    const deliveries = texts(3).map((text) => transport.deliver(job({ text }), call))
    const outcomes = await environment.clock.until(Promise.all(deliveries))
    expect(outcomes.map((each) => summary(each)[0]!.slice(0, 22))).toEqual([
      'deferred message 451 4',
      'deferred message 451 4',
      'ok 250 2.0.0 host mx.e',
    ])
    expect(server.visits).toHaveLength(3)
    await end()
  })

  it('whose second connection is lost too is deferred', async () => {
    const first = gate()
    const second = gate()
    const { environment, transport, server, end } = await world(
      { maxConnectionsPerDestination: 2 },
      {
        answer: async (command, visit) => {
          if (command.startsWith('RCPT') && visit.nth === 1) return first.opened
          if (command !== '<message>') return undefined
          if (visit.nth === 2) await second.opened
          return { and: 'close' }
        },
      },
    )
    const { clock } = environment
    const deliveries = [transport.deliver(job(), call)]
    await clock.settle()
    deliveries.push(transport.deliver(job(), call))
    await clock.advance(PATIENCE_MS)
    deliveries.push(transport.deliver(job({ to: ['twice@example.org'] }), call))
    await clock.settle()
    expect(server.visits[1]!.pieces.at(-1)).toContain('twice@')
    second.open()
    await clock.settle()
    first.open()
    const outcomes = await clock.until(Promise.all(deliveries))
    expect(server.visits[0]!.pieces.at(-1)).toContain('twice@')
    expect(summary(outcomes[2]!)[0]).toMatch(/^deferred destination 451 4\.4\.2 lost connection/)
    expect(server.visits).toHaveLength(2)
    await end()
  })

  it('too large for the server is failed alone, and the one after it takes its place', async () => {
    const { environment, transport, server, end } = await world(
      { maxConnectionsPerDestination: 1 },
      { capabilities: ['PIPELINING', 'SIZE 100'] },
    )
    const outcomes = await environment.clock.until(
      Promise.all([
        transport.deliver(job(), call),
        transport.deliver(job({ text: `A: b\r\n\r\n${'x'.repeat(200)}\r\n` }), call),
        transport.deliver(job(), call),
      ]),
    )
    expect(outcomes.map((each) => summary(each)[0]!.slice(0, 16))).toEqual([
      'ok 250 2.0.0 hos',
      'failed 552 5.3.4',
      'ok 250 2.0.0 hos',
    ])
    expect(server.visits[0]!.pieces).toHaveLength(4)
    await end()
  })

  it('is not staged where the answer to the dot takes long: other connections are faster', async () => {
    const { environment, transport, server, end } = await world(
      {},
      {
        answer: (command) =>
          command === '<message>'
            ? new Promise((resolve) => environment.clock.after(4 * PATIENCE_MS, () => resolve(undefined)))
            : undefined,
      },
    )
    const { clock } = environment
    await clock.until(transport.deliver(job(), call))
    const deliveries = texts(3).map((text) => transport.deliver(job({ text }), call))
    await clock.until(Promise.all(deliveries))
    expect(server.visits.map((visit) => visit.messages.length)).toEqual([2, 1, 1])
    await end()
  })
})

describe('a slow connection', () => {
  it('does not keep the next message waiting for more than a moment', async () => {
    const { environment, transport, server, end } = await world(
      {},
      { answer: (command, visit) => (command.startsWith('RCPT') && visit.nth === 1 ? { and: 'silence' } : undefined) },
    )
    const { clock } = environment
    const slow = transport.deliver(job(), call)
    await clock.settle()
    const start = clock.now()
    expect(summary(await clock.until(transport.deliver(job(), call)))[0]).toMatch(/^ok/)
    expect(clock.now() - start).toBe(PATIENCE_MS)
    expect(server.visits).toHaveLength(2)
    expect(summary(await clock.until(slow))[0]).toMatch(/timed out/)
    await end()
  })
})

describe('a kept connection', () => {
  it.each([
    ['has gone', { and: 'close' }],
    ['says 421', { say: '421 4.4.2 idle too long\r\n', and: 'close' }],
  ] as const)('that %s at the next MAIL costs the message nothing', async (_, answer) => {
    const { deliver, server, end } = await world(
      {},
      {
        answer: (command, visit) =>
          command.startsWith('MAIL') && visit.nth === 1 && visit.messages.length > 0 ? answer : undefined,
      },
    )
    await deliver()
    expect(summary(await deliver())[0]).toMatch(/^ok/)
    expect(server.visits).toHaveLength(2)
    await end()
  })

  it('that has gone has not gone alone: the second try is by a new one', async () => {
    let restarted = false
    const { environment, transport, deliver, server, end } = await world(
      {},
      {
        answer: (command, visit) =>
          restarted && visit.nth < 4 && command.startsWith('MAIL') ? { and: 'close' } : undefined,
      },
    )
    await environment.clock.until(Promise.all(texts(5).map((text) => transport.deliver(job({ text }), call))))
    expect(server.visits).toHaveLength(3)
    restarted = true
    expect(summary(await deliver())[0]).toMatch(/^ok/)
    expect(server.visits).toHaveLength(4)
    await end()
  })

  it('closed by the server while idle is forgotten', async () => {
    const { deliver, environment, server, end } = await world()
    await deliver()
    server.visits[0]!.wire.end('421 4.4.2 bye\r\n')
    await environment.clock.settle()
    expect(environment.net.open).toBe(0)
    expect(summary(await deliver())[0]).toMatch(/^ok/)
    await end()
  })
})
