import type { MessageSource } from '@mailwright/core'
import { describe, expect, it } from 'vitest'
import type { Answer } from './testing-support/scripted-server.ts'
import { call, job, summary, world } from './testing-support/world.ts'

const HOST = 'mx.example.org[192.0.2.25]:25'
const PLAIN = ['8BITMIME', 'SIZE 10000000']

/** A body that is not in memory, in pieces. */
function longMessage(head: string, pieces: readonly Uint8Array[], size?: number): MessageSource {
  const bytes = Buffer.from(head)
  return {
    head: bytes,
    size: size ?? pieces.reduce((sum, piece) => sum + piece.length, bytes.length),
    async *body() {
      yield* pieces
    },
  }
}

describe('a message to one recipient', () => {
  it('is two writes on a new connection: the envelope with DATA, and the message with its dot', async () => {
    const { deliver, server, end } = await world()
    const outcomes = await deliver()
    expect(summary(outcomes)).toEqual([`ok 250 2.0.0 host ${HOST} said: 250 2.0.0 queued as 4711`])
    expect(outcomes.get(1)!.remote).toEqual({
      host: HOST,
      code: 250,
      enhanced: '2.0.0',
      lines: ['2.0.0 queued as 4711'],
    })
    expect(server.visits[0]!.pieces).toEqual([
      'EHLO relay.example.net\r\n',
      'MAIL FROM:<ann@example.net> SIZE=22\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n',
      'Subject: hi\r\n\r\nHello\r\n.\r\n',
    ])
    await end()
  })

  it('is sent command by command to a server without PIPELINING', async () => {
    const { deliver, server, end } = await world({}, { capabilities: PLAIN })
    expect(summary(await deliver())[0]).toMatch(/^ok/)
    expect(server.visits[0]!.pieces).toEqual([
      'EHLO relay.example.net\r\n',
      'MAIL FROM:<ann@example.net> SIZE=22\r\n',
      'RCPT TO:<bob@example.org>\r\n',
      'DATA\r\n',
      'Subject: hi\r\n\r\nHello\r\n.\r\n',
    ])
    await end()
  })

  it('has its dots doubled and its line ends normalised', async () => {
    const { deliver, server, end } = await world()
    await deliver(job({ text: 'A: b\nC: d\r\n\r\n.one\r\n..two\nthree\r.\rfour' }))
    expect(server.messages).toEqual(['A: b\r\nC: d\r\n\r\n..one\r\n...two\r\nthree\r\n..\r\nfour\r\n'])
    await end()
  })

  it.each([
    ['without a body', 'Subject: x\r\n\r\n', 'Subject: x\r\n\r\n'],
    ['without a final line end', 'Subject: x\r\n\r\nend', 'Subject: x\r\n\r\nend\r\n'],
    ['that is a lone dot', '\r\n.\r\n', '\r\n..\r\n'],
    ['that is empty', '', ''],
  ])('may be a message %s', async (_, text, sent) => {
    const { deliver, server, end } = await world()
    expect(summary(await deliver(job({ text })))[0]).toMatch(/^ok/)
    expect(server.messages).toEqual([sent])
    await end()
  })

  it('from the null sender names nobody', async () => {
    const { deliver, server, end } = await world()
    await deliver(job({ from: '' }))
    expect(server.visits[0]!.commands).toContain('MAIL FROM:<> SIZE=22')
    await end()
  })

  it('of more than a few KB is sent whole', async () => {
    const { deliver, server, end } = await world()
    const text = `A: b\r\n\r\n${'0123456789abcde\r\n'.repeat(20_000)}`
    expect(summary(await deliver(job({ text })))[0]).toMatch(/^ok/)
    expect(server.messages[0] === text).toBe(true)
    await end()
  })
})

describe.each([
  ['with PIPELINING', undefined],
  ['without PIPELINING', PLAIN],
])('recipients %s', (_, capabilities) => {
  const offered = capabilities === undefined ? {} : { capabilities }

  it('each get the outcome of their own RCPT', async () => {
    const { deliver, server, end } = await world(
      {},
      {
        ...offered,
        answer: (command) =>
          command.includes('<later@')
            ? '450 4.2.1 mailbox busy'
            : command.includes('<never@')
              ? '550-5.1.1 no such user\n550 5.1.1 here'
              : command.includes('<full@')
                ? '552 5.5.3 too many recipients'
                : undefined,
      },
    )
    const to = ['bob@example.org', 'later@example.org', 'never@example.org', 'full@example.org', 'cid@example.org']
    const outcomes = await deliver(job({ to }))
    expect(summary(outcomes)).toEqual([
      `ok 250 2.0.0 host ${HOST} said: 250 2.0.0 queued as 4711`,
      `deferred recipient 450 4.2.1 host ${HOST} said: 450 4.2.1 mailbox busy`,
      `failed 550 5.1.1 host ${HOST} said: 550 5.1.1 no such user 5.1.1 here`,
      `deferred recipient 452 4.5.3 host ${HOST} said: 552 5.5.3 too many recipients`,
      `ok 250 2.0.0 host ${HOST} said: 250 2.0.0 queued as 4711`,
    ])
    expect(outcomes.get(3)!.remote!.lines).toEqual(['5.1.1 no such user', '5.1.1 here'])
    expect(server.messages).toHaveLength(1)
    await end()
  })

  it('all refused mean that no message is sent, and the connection serves the next', async () => {
    const { deliver, server, end } = await world(
      {},
      { ...offered, answer: (command) => (command.includes('<never@') ? '550 5.1.1 no' : undefined) },
    )
    const outcomes = await deliver(job({ to: ['never@example.org', 'never@example.com'] }))
    expect(summary(outcomes).map((line) => line.slice(0, 16))).toEqual(['failed 550 5.1.1', 'failed 550 5.1.1'])
    // With DATA pipelined the server said 354, and RFC 2920 has us end an empty message.
    expect(server.messages).toEqual(capabilities === undefined ? [''] : [])
    expect(summary(await deliver())[0]).toMatch(/^ok/)
    expect(server.visits).toHaveLength(1)
    await end()
  })

  it.each([
    ['MAIL refused for now', 'MAIL', '451 4.7.1 greylisted', 'deferred message 451 4.7.1'],
    ['MAIL refused for good', 'MAIL', '553 5.1.8 bad sender', 'failed 553 5.1.8'],
    ['DATA refused for now', 'DATA', '452 4.3.1 disk full', 'deferred message 452 4.3.1'],
    ['DATA refused for good', 'DATA', '554 5.5.1 no', 'failed 554 5.5.1'],
    ['the message refused for now', '<message>', '451 4.6.0 scanner away', 'deferred message 451 4.6.0'],
    ['the message refused for good', '<message>', '554 5.7.1 spam', 'failed 554 5.7.1'],
  ])('are told of %s, and the connection serves the next message', async (_, stage, answer, expected) => {
    let times = 0
    const { deliver, server, end } = await world(
      {},
      { ...offered, answer: (command) => (command.startsWith(stage) && times++ === 0 ? answer : undefined) },
    )
    const to = ['bob@example.org', 'cid@example.org']
    const lines = summary(await deliver(job({ to })))
    expect(lines).toHaveLength(2)
    for (const line of lines) expect(line).toBe(`${expected} host ${HOST} said: ${answer}`)
    expect(summary(await deliver())[0]).toMatch(/^ok/)
    expect(server.visits).toHaveLength(1)
    // Nobody was accepted where MAIL or DATA was refused: no byte of that message may have been sent.
    expect(server.messages.filter((text) => text !== '')).toHaveLength(stage === '<message>' ? 2 : 1)
    if (stage === 'DATA') expect(server.visits[0]!.commands).toContain('RSET')
    await end()
  })

  const enders: readonly (readonly [string, Answer, string])[] = [
    ['hangs up', { and: 'close' }, '451 4.4.2 lost connection with'],
    ['resets the connection', { and: 'reset' }, '451 4.4.2 lost connection with'],
    ['talks rubbish', { say: 'HTTP/1.1 400 Bad Request\r\n', and: 'silence' }, '451 4.5.0'],
    ['falls silent', { and: 'silence' }, '451 4.4.2'],
    ['gives half a reply', { say: '250-one', and: 'close' }, '451 4.4.2 lost connection with'],
    ['talks without end', { say: '250-more\r\n'.repeat(500), and: 'silence' }, '451 4.5.0'],
    ['writes a line without end', { say: 'x'.repeat(5_000), and: 'silence' }, '451 4.5.0'],
    ['says 334', '334 go on', '451 4.5.0'],
    ['closes with 421', { say: '421 4.3.2 shutting down\r\n', and: 'close' }, '451 4.3.2 host'],
  ]
  const stages = ['MAIL', 'RCPT', 'DATA', '<message>']
  const cases = stages.flatMap((stage) => enders.map(([what, answer, reply]) => ({ stage, what, answer, reply })))

  it.each(cases)('are all deferred when the server $what at $stage', async ({ stage, answer, reply, what }) => {
    const { deliver, server, end } = await world(
      {},
      { ...offered, answer: (command) => (command.startsWith(stage) ? answer : undefined) },
    )
    const lines = summary(await deliver(job({ to: ['bob@example.org', 'cid@example.org'] })))
    const scope = stage === '<message>' && what !== 'says 334' && what !== 'closes with 421' ? 'message' : 'destination'
    expect(lines).toHaveLength(2)
    for (const line of lines) expect(line.startsWith(`deferred ${scope} ${reply}`), line).toBe(true)
    // Only a kept connection is forgiven its end: a new one that fails is the server's word.
    expect(server.visits).toHaveLength(1)
    if (stage === '<message>' && scope === 'message') {
      for (const line of lines) expect(line).toContain('after end of data')
    }
    await end()
  })
})

describe('time-outs', () => {
  it.each([
    ['<greeting>', 300_000],
    ['EHLO', 300_000],
    ['MAIL', 300_000],
    ['RCPT', 300_000],
    ['DATA', 120_000],
    ['<message>', 600_000],
  ])('a server silent at %s is given up after %i ms', async (stage, ms) => {
    const { environment, transport, end } = await world(
      {},
      { capabilities: PLAIN, answer: (command) => (command.startsWith(stage) ? { and: 'silence' } : undefined) },
    )
    const { clock } = environment
    const delivery = transport.deliver(job(), call)
    await clock.settle()
    const start = clock.now()
    await clock.advance(ms - 1)
    let outcome: unknown
    void delivery.then((outcomes) => {
      outcome = outcomes
    })
    await clock.settle()
    expect(outcome).toBeUndefined()
    const outcomes = await clock.until(delivery)
    expect(clock.now() - start).toBe(ms)
    expect(summary(outcomes)[0]).toMatch(/^deferred (destination|message) 451 4\.4\.2 .* timed out/)
    await end()
  })

  it('are each set anew: a server slow at every step is not given up', async () => {
    const { deliver, environment, end } = await world(
      {},
      {
        capabilities: PLAIN,
        answer: (command) =>
          command === 'QUIT'
            ? undefined
            : new Promise((resolve) => environment.clock.after(119_000, () => resolve(undefined))),
      },
    )
    expect(summary(await deliver())[0]).toMatch(/^ok/)
    await end()
  })

  it('a server that does not take the message is given up block by block', async () => {
    const { deliver, environment, end } = await world(
      {},
      {
        answer: (command, visit) => {
          if (command === 'DATA') queueMicrotask(() => visit.wire.pause())
          return undefined
        },
      },
    )
    const start = environment.clock.now()
    const pieces = Array.from({ length: 50 }, () => Buffer.alloc(16_384, 'x'))
    const outcomes = await deliver(job({ message: longMessage('A: b\r\n\r\n', pieces) }))
    expect(summary(outcomes)).toEqual([`deferred destination 451 4.4.2 ${HOST} timed out while sending the message`])
    expect(environment.clock.now() - start).toBe(180_000)
    await end()
  })
})

describe('a long message', () => {
  it('is streamed whole, dot-stuffed across pieces', async () => {
    const { deliver, server, end } = await world()
    const pieces = ['.first\r', '\n', '.second\r\n', 'third\n.', 'fourth'].map((text) => Buffer.from(text))
    expect(summary(await deliver(job({ message: longMessage('A: b\r\n\r\n', pieces) })))[0]).toMatch(/^ok/)
    expect(server.messages).toEqual(['A: b\r\n\r\n..first\r\n..second\r\nthird\r\n..fourth\r\n'])
    await end()
  })

  it('is read no faster than the server takes it', async () => {
    let read = 0
    const { environment, transport, server, end } = await world(
      {},
      {
        answer: (command, visit) => {
          if (command === 'DATA') queueMicrotask(() => visit.wire.pause())
          return undefined
        },
      },
    )
    const message: MessageSource = {
      head: Buffer.from('A: b\r\n\r\n'),
      size: 8 + 100 * 65_536,
      async *body() {
        for (; read < 100; read++) yield Buffer.alloc(65_536, 'x')
      },
    }
    const delivery = transport.deliver(job({ message }), call)
    await environment.clock.settle()
    expect(read).toBeLessThan(5)
    server.visits[0]!.wire.resume()
    expect(summary(await environment.clock.until(delivery))[0]).toMatch(/^ok/)
    expect(server.messages[0]!.length).toBe(message.size + 2)
    await end()
  })

  it('whose storage fails is never ended by a dot', async () => {
    const { deliver, server, end } = await world()
    const message: MessageSource = {
      head: Buffer.from('A: b\r\n\r\n'),
      size: 1_000,
      // biome-ignore lint/correctness/useYield: the point is that nothing comes.
      async *body() {
        throw new Error('EIO at /var/spool')
      },
    }
    const outcomes = await deliver(job({ message }))
    expect(summary(outcomes)).toEqual(['deferred message 451 4.3.0 the message could not be read'])
    expect(outcomes.get(1)).toMatchObject({ cause: new Error('EIO at /var/spool') })
    expect(server.messages).toEqual([])
    await end()
  })

  it('that is shorter than its size says is never ended by a dot', async () => {
    const { deliver, server, end } = await world()
    const message = longMessage('A: b\r\n\r\n', [Buffer.from('half')], 1_000)
    expect(summary(await deliver(job({ message })))).toEqual([
      'deferred message 451 4.3.0 the message could not be read',
    ])
    expect(server.messages).toEqual([])
    await end()
  })

  it('refused while it is being sent is failed, and the connection closed', async () => {
    const { environment, transport, server, end } = await world()
    let finish = (): void => undefined
    const message: MessageSource = {
      head: Buffer.from('A: b\r\n\r\n'),
      size: 1_000,
      async *body() {
        await new Promise<void>((resolve) => {
          finish = resolve
        })
        yield Buffer.from('late')
      },
    }
    const delivery = transport.deliver(job({ message }), call)
    await environment.clock.settle()
    server.visits[0]!.wire.write('552 5.3.4 too big\r\n')
    expect(summary(await environment.clock.until(delivery))).toEqual([
      `failed 552 5.3.4 host ${HOST} said: 552 5.3.4 too big`,
    ])
    finish()
    await environment.clock.settle()
    expect(server.visits[0]!.state).toBe('closed')
    await end()
  })

  it('is deferred when the server hangs up in the middle', async () => {
    const { environment, transport, server, end } = await world(
      {},
      {
        answer: (command, visit) => {
          if (command === 'DATA') queueMicrotask(() => visit.wire.pause())
          return undefined
        },
      },
    )
    const pieces = Array.from({ length: 50 }, () => Buffer.alloc(16_384, 'x'))
    const delivery = transport.deliver(job({ message: longMessage('A: b\r\n\r\n', pieces) }), call)
    await environment.clock.settle()
    server.visits[0]!.wire.destroy(new Error('reset'))
    expect(summary(await environment.clock.until(delivery))).toEqual([
      `deferred destination 451 4.4.2 lost connection with ${HOST} while sending the message`,
    ])
    await end()
  })
})
