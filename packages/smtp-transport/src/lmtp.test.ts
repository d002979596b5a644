import { afterEach, describe, expect, it } from 'vitest'
import type { SmtpTransportOptions } from './options.ts'
import { lmtpTransport } from './smtp-transport.ts'
import type { Answer, ServerOptions } from './testing-support/scripted-server.ts'
import { job, summary, type World, world } from './testing-support/world.ts'

const SOCKET = '/run/dovecot/lmtp'
const LABEL = `unix:${SOCKET}`
const TO = ['ann@example.org', 'bob@example.org', 'cid@example.org']

const worlds: World[] = []
afterEach(async () => {
  for (const each of worlds.splice(0)) await each.end()
})

/** A mailbox server on a socket of this machine. */
async function mailboxes(server: ServerOptions = {}, options: Partial<SmtpTransportOptions> = {}): Promise<World> {
  const lmtp = { protocol: 'lmtp', nextHop: LABEL, ...options } as const
  const made = await world(lmtp, { protocol: 'lmtp', host: SOCKET, ...server })
  worlds.push(made)
  return made
}

/** Answers a command that begins so. */
const at =
  (...answers: readonly (readonly [string, Answer])[]): NonNullable<ServerOptions['answer']> =>
  (command) =>
    answers.find(([start]) => command.startsWith(start))?.[1]

describe('a message by LMTP', () => {
  it('goes through a socket, introduced by LHLO, and is delivered', async () => {
    const { deliver, server } = await mailboxes()
    const outcomes = await deliver()
    expect(outcomes.get(1)).toMatchObject({ status: 'ok', action: 'delivered', remote: { host: LABEL, code: 250 } })
    expect(server.visits[0]!.commands).toEqual([
      '<greeting>',
      'LHLO relay.example.net',
      'MAIL FROM:<ann@example.net> SIZE=22',
      'RCPT TO:<bob@example.org>',
      'DATA',
      '<message> <bob@example.org>',
    ])
  })

  it('goes to a host without a question for its MX, at port 24 where none is named', async () => {
    const { deliver, environment } = await mailboxes({ host: '192.0.2.25', port: 24 }, { nextHop: 'mx.example.org' })
    expect(summary(await deliver())).toEqual([expect.stringMatching(/^ok 250 2\.0\.0 host mx\.example\.org/)])
    expect(environment.dns.questions.map(({ type }) => type)).not.toContain('MX')
  })

  it.each<readonly [string, readonly string[]]>([
    ['pipelined', ['PIPELINING']],
    ['command by command', ['8BITMIME']],
  ])(
    'sent %s has an answer for each recipient, and the next message follows on the same connection',
    async (_, offered) => {
      const { deliver, server } = await mailboxes({
        capabilities: offered,
        answer: at(
          ['RCPT TO:<bob@', '550 5.1.1 nobody'],
          ['<message> <ann@', '452 4.2.2 over quota'],
          ['<message> <dan@', '552 5.2.2 over quota for good'],
        ),
      })
      const to = [...TO, 'dan@example.org']
      expect(summary(await deliver(job({ to }))).map((line) => line.replace(/ host.*said/, ''))).toEqual([
        'deferred recipient 452 4.2.2: 452 4.2.2 over quota',
        'failed 550 5.1.1: 550 5.1.1 nobody',
        'ok 250 2.0.0: 250 2.0.0 queued as 4711',
        'failed 552 5.2.2: 552 5.2.2 over quota for good',
      ])
      expect(summary(await deliver(job({ to: ['cid@example.org'] })))).toEqual([expect.stringMatching(/^ok/)])
      expect(server.visits).toHaveLength(1)
      expect(server.messages).toHaveLength(2)
    },
  )

  it('sent by BDAT has an answer for each recipient, too', async () => {
    const { deliver, server } = await mailboxes({
      capabilities: ['PIPELINING', 'CHUNKING', 'BINARYMIME'],
      answer: at(['<message> <bob@', '451 4.3.0 not now']),
    })
    const lines = summary(await deliver(job({ to: TO, options: { body: 'binarymime' } })))
    expect(lines.map((line) => line.split(' ')[0])).toEqual(['ok', 'deferred', 'ok'])
    expect(server.messages).toEqual(['Subject: hi\r\n\r\nHello\r\n'])
  })

  it('is sent behind another while that is being answered for', async () => {
    const { deliver, environment, transport, server } = await mailboxes()
    await deliver()
    const all = Promise.all(
      [1, 2, 3, 4].map(() => transport.deliver(job({ to: TO }), { signal: new AbortController().signal })),
    )
    for (const outcomes of await environment.clock.until(all)) {
      expect(summary(outcomes).map((line) => line.slice(0, 2))).toEqual(['ok', 'ok', 'ok'])
    }
    expect(server.messages).toHaveLength(5)
  })

  it('that nobody may have is not sent', async () => {
    const { deliver, server } = await mailboxes({ answer: at(['RCPT', '550 5.1.1 nobody']) })
    expect(summary(await deliver())).toEqual([expect.stringMatching(/^failed 550 5\.1\.1/)])
    expect(server.messages).toEqual([])
  })

  it('that nobody may have, and that the server asks for all the same, is not sent', async () => {
    const { deliver, server } = await mailboxes({ answer: at(['RCPT', '550 5.1.1 nobody'], ['DATA', '354 go on']) })
    expect(summary(await deliver())).toEqual([expect.stringMatching(/^failed 550 5\.1\.1/)])
    expect(server.messages).toEqual([])
    expect(server.visits[0]!.state).toBe('closed')
  })

  it('may demand TLS: what does not leave the machine needs none', async () => {
    const { deliver } = await mailboxes({}, { tls: 'encrypt' })
    expect(summary(await deliver(job({ options: { requireTls: true } })))).toEqual([expect.stringMatching(/^ok/)])
  })
})

describe('a mailbox server that', () => {
  it.each<readonly [string, Answer, string, string]>([
    ['hangs up', { and: 'close' }, 'deferred message 451 4.4.2', 'may be delivered twice'],
    ['falls silent', { and: 'silence' }, 'deferred message 451 4.4.2', 'may be delivered twice'],
    ['says 421', { say: '421 4.3.2 closing\r\n', and: 'close' }, 'deferred destination 451 4.3.2', 'said: 421'],
    ['talks rubbish', { say: 'what?\r\n', and: 'silence' }, 'deferred message 451 4.5.0', 'may be delivered twice'],
  ])('%s among its answers has delivered to those before', async (_, answer, start, end) => {
    const { deliver } = await mailboxes({ answer: at(['<message> <bob@', answer]) })
    const [first, ...others] = summary(await deliver(job({ to: TO })))
    expect(first).toMatch(/^ok/)
    expect(others).toHaveLength(2)
    for (const line of others) {
      expect(line.startsWith(start), line).toBe(true)
      expect(line).toContain(end)
    }
  })

  it('does not know LHLO is not spoken to in SMTP', async () => {
    const { deliver, server } = await mailboxes({ answer: at(['LHLO', '500 5.5.1 what?']) })
    expect(summary(await deliver())).toEqual([expect.stringMatching(/^deferred destination 451 4\.0\.0/)])
    expect(server.visits[0]!.commands).not.toContain('HELO relay.example.net')
  })

  it('is not there defers the mail', async () => {
    const { deliver } = await mailboxes({ host: '/run/another' })
    expect(summary(await deliver())).toEqual([`deferred destination 451 4.4.1 cannot connect to ${LABEL}`])
  })
})

it('The transport is called lmtp in lanes, unless it is named', () => {
  expect(lmtpTransport({ hostname: 'a.example', nextHop: LABEL }).name).toBe('lmtp')
  expect(lmtpTransport({ hostname: 'a.example', name: 'mailboxes' }).name).toBe('mailboxes')
})
