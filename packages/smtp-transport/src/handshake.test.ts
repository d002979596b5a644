import { testAuthority } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import type { Answer } from './testing-support/scripted-server.ts'
import { job, summary, world } from './testing-support/world.ts'

const HOST = 'mx.example.org[192.0.2.25]:25'
const tls = testAuthority().issue({ names: ['mx.example.org'] })

describe('a server that will not talk', () => {
  it.each<[string, string, Answer, string]>([
    ['greets with 554', '<greeting>', '554 5.7.1 blocked', `451 4.0.0 host ${HOST} said: 554 5.7.1 blocked`],
    ['greets with 421', '<greeting>', '421 4.3.2 busy', `451 4.3.2 host ${HOST} said: 421 4.3.2 busy`],
    ['greets with 250', '<greeting>', '250 hello', `451 4.0.0 host ${HOST} said: 250 hello`],
    ['hangs up', '<greeting>', { and: 'close' }, `451 4.4.2 lost connection with ${HOST} before it greeted`],
    ['is no SMTP server', '<greeting>', 'SSH-2.0-OpenSSH', `451 4.5.0 ${HOST} did not speak SMTP before it greeted`],
    ['is not sure about EHLO', 'EHLO', '450 4.7.1 later', `450 4.7.1 host ${HOST} said: 450 4.7.1 later`],
    [
      'hangs up at EHLO',
      'EHLO',
      { and: 'close' },
      `451 4.4.2 lost connection with ${HOST} while introducing ourselves`,
    ],
  ])('%s: the message is deferred', async (_, stage, answer, reply) => {
    const { deliver, end } = await world({}, { answer: (command) => (command.startsWith(stage) ? answer : undefined) })
    expect(summary(await deliver())).toEqual([`deferred destination ${reply}`])
    await end()
  })

  it('with EHLO or HELO: the message is deferred', async () => {
    const { deliver, end } = await world(
      {},
      { answer: (command) => (/^(EHLO|HELO)/.test(command) ? '550 no' : undefined) },
    )
    expect(summary(await deliver())).toEqual([`deferred destination 451 4.0.0 host ${HOST} said: 550 no`])
    await end()
  })
})

it('a server that knows only HELO gets mail the old way', async () => {
  const { deliver, server, end } = await world(
    {},
    { answer: (command) => (command.startsWith('EHLO') ? '502 5.5.1 what?' : undefined) },
  )
  expect(summary(await deliver())[0]).toMatch(/^ok/)
  expect(server.visits[0]!.commands).toEqual([
    '<greeting>',
    'EHLO relay.example.net',
    'HELO relay.example.net',
    'MAIL FROM:<ann@example.net>',
    'RCPT TO:<bob@example.org>',
    'DATA',
    '<message>',
  ])
  await end()
})

describe('TLS', () => {
  it.each(['may', 'encrypt'] as const)('%s: is used where it is offered, and EHLO said again', async (policy) => {
    const { deliver, server, end } = await world({ tls: policy }, { tls })
    expect(summary(await deliver())[0]).toMatch(/^ok/)
    expect(summary(await deliver())[0]).toMatch(/^ok/)
    expect(server.visits).toHaveLength(1)
    expect(server.visits[0]!.secure).toBe(true)
    expect(server.visits[0]!.commands.slice(0, 5)).toEqual([
      '<greeting>',
      'EHLO relay.example.net',
      'STARTTLS',
      'EHLO relay.example.net',
      'MAIL FROM:<ann@example.net> SIZE=22',
    ])
    await end()
  })

  it('none: is not used though offered', async () => {
    const { deliver, server, end } = await world({ tls: 'none' }, { tls })
    expect(summary(await deliver())[0]).toMatch(/^ok/)
    expect(server.visits[0]!.commands).not.toContain('STARTTLS')
    await end()
  })

  it('may: a handshake that fails is followed by clear text on a new connection', async () => {
    const { deliver, server, end } = await world(
      {},
      {
        capabilities: ['STARTTLS'],
        answer: (command) => (command === 'STARTTLS' ? { say: '220 go\r\n', and: 'close' } : undefined),
      },
    )
    expect(summary(await deliver())[0]).toMatch(/^ok/)
    expect(server.visits.map((visit) => visit.commands.includes('STARTTLS'))).toEqual([true, false])
    await end()
  })

  it('may: a handshake that never ends is given up', async () => {
    const { deliver, server, environment, end } = await world(
      {},
      {
        capabilities: ['STARTTLS'],
        answer: (command) => (command === 'STARTTLS' ? { say: '220 go\r\n', and: 'silence' } : undefined),
      },
    )
    const start = environment.clock.now()
    expect(summary(await deliver())[0]).toMatch(/^ok/)
    expect(environment.clock.now() - start).toBe(300_000)
    expect(server.visits).toHaveLength(2)
    await end()
  })

  it('may: a refused STARTTLS is followed by clear text on the same connection', async () => {
    const { deliver, server, end } = await world(
      {},
      { capabilities: ['STARTTLS'], answer: (command) => (command === 'STARTTLS' ? '454 4.7.0 no' : undefined) },
    )
    expect(summary(await deliver())[0]).toMatch(/^ok/)
    expect(server.visits).toHaveLength(1)
    await end()
  })

  it.each<[string, readonly string[], Answer | undefined, RegExp]>([
    ['not offered', [], undefined, /^deferred destination 451 4\.7\.4 TLS is required, but/],
    ['refused', ['STARTTLS'], '454 4.7.0 no', /^deferred destination 451 4\.7\.0 host/],
    ['broken', ['STARTTLS'], { say: '220 go\r\n', and: 'close' }, /^deferred destination 451 4\.7\.5 TLS handshake/],
  ])('encrypt: TLS %s defers the message; nothing goes in clear text', async (_, capabilities, answer, expected) => {
    const { deliver, server, end } = await world(
      { tls: 'encrypt' },
      { capabilities, answer: (command) => (command === 'STARTTLS' ? answer : undefined) },
    )
    expect(summary(await deliver())[0]).toMatch(expected)
    expect(server.visits.flatMap((visit) => visit.commands).filter((command) => command.startsWith('MAIL'))).toEqual([])
    await end()
  })

  it('what a server says in clear text behind the 220 is an attack, and the session ends', async () => {
    const { deliver, server, end } = await world(
      { tls: 'encrypt' },
      { tls, answer: (command) => (command === 'STARTTLS' ? '220 go\n250 2.0.0 ok' : undefined) },
    )
    expect(summary(await deliver())[0]).toMatch(/^deferred destination 451 4\.7\.5 .*clear text/)
    expect(server.visits[0]!.secure).toBe(false)
    await end()
  })

  it('a message that demands it is not sent without a verified certificate', async () => {
    const { deliver, end } = await world({}, { tls, capabilities: ['REQUIRETLS'] })
    expect(summary(await deliver(job({ options: { requireTls: true } })))[0]).toMatch(/^failed 550 5\.7\.30/)
    await end()
  })
})
