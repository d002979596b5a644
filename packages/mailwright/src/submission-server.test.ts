import type { Authenticator } from '@mailwright/core'
import { memoryStore } from '@mailwright/queue'
import {
  dialogue,
  scriptedMx,
  type TestEnvironment,
  testAuthority,
  testEnvironment,
  testJob,
} from '@mailwright/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type SubmissionServer, submissionServer } from './submission-server.ts'
import { client, LISTEN, started } from './test-support/world.ts'

const call = { signal: new AbortController().signal }
const authority = testAuthority()
const trust = { servername: 'mail.example.org', verify: true, ca: [authority.ca] } as const
const USER = '203.0.113.7'

/** PLAIN, with one user: ann, whose password is `secret`. */
const users: Authenticator = {
  name: 'one-user',
  mechanisms: ({ tls }) => (tls === undefined ? [] : ['PLAIN']),
  begin: () => ({
    step: async (response) =>
      Buffer.from(response ?? []).toString() === '\0ann\0secret'
        ? { kind: 'success', user: 'ann' }
        : { kind: 'failure', reason: 'wrong password' },
    cancel: () => {},
  }),
}

function server(world: TestEnvironment): SubmissionServer {
  return submissionServer({
    hostname: 'mail.example.org',
    host: LISTEN.host,
    tls: authority.issue({ names: ['mail.example.org'] }),
    auth: users,
    store: memoryStore(),
    nextHop: '[192.0.2.30]:25',
    owners: { 'ann@example.org': ['ann'] },
    environment: world,
  })
}

describe('a submission server', () => {
  it('asks users for STARTTLS and then for who they are, on port 587', async () => {
    const world = testEnvironment()
    await started(server(world).mta, world)
    const talk = await client(world, USER, 587)
    await talk.command('MAIL FROM:<ann@example.org>', '530 5.7.0 Must issue a STARTTLS command first')
    await talk.command('STARTTLS', 220)
    await talk.upgrade(async (wire) => (await world.net.secure(wire, trust, call)).wire)
    await talk.command('EHLO client.example.com', 250)
    await talk.command('MAIL FROM:<ann@example.org>', '530 5.7.0 Authentication required')
  })

  it('begins with TLS on port 465, and asks for the user only', async () => {
    const world = testEnvironment()
    const { mta, tlsListener } = server(world)
    await started(mta, world)
    expect(tlsListener.url).toBe('smtps://192.0.2.1:465')
    const wire = await world.net.connect({ host: LISTEN.host, port: 465, localAddress: USER }, call)
    const talk = dialogue((await world.net.secure(wire, trust, call)).wire)
    onTestFinished(() => talk.destroy())
    await talk.expect(220)
    await talk.command('EHLO client.example.com', 250)
    await talk.command('MAIL FROM:<ann@example.org>', '530 5.7.0 Authentication required')
  })

  // Needs a listener that offers AUTH.
  it('sends on what a user submits under an address of her own, and nothing else', async () => {
    const world = testEnvironment()
    const mx = await scriptedMx({ network: world.net, clock: world.clock, host: '192.0.2.30' })
    await started(server(world).mta, world)
    const talk = await client(world, USER, 587)
    await talk.command('STARTTLS', 220)
    await talk.upgrade(async (wire) => (await world.net.secure(wire, trust, call)).wire)
    await talk.command('EHLO client.example.com', 250)
    await talk.command(`AUTH PLAIN ${Buffer.from('\0ann\0wrong').toString('base64')}`, '535 5.7.8')
    await talk.command(`AUTH PLAIN ${Buffer.from('\0ann\0secret').toString('base64')}`, '235 2.7.0')
    await talk.command('MAIL FROM:<bob@example.org>', 250)
    await talk.command('RCPT TO:<zoe@example.net>', '553 5.7.1 Sender address rejected: not owned by user')
    await talk.command('RSET', 250)
    await talk.mail('ann@example.org', ['zoe@example.net'], 'Subject: hello\r\n\r\nhello\r\n')
    await world.clock.settle()
    expect(mx.messages).toHaveLength(1)
    expect(mx.messages[0]!.data.toString()).toMatch(
      /with ESMTPSA id [\s\S]*\r\nDate: .*\r\nMessage-ID: <.*@mail\.example\.org>\r\nSubject: hello\r\n/,
    )
  })

  it('tells a user after four hours that a message is late', async () => {
    const world = testEnvironment()
    const { mta, queue } = server(world)
    await started(mta, world)
    const warnings: unknown[] = []
    mta.events.subscribe(
      (event) => void warnings.push(event),
      (type) => type === 'message.bounced',
    )
    await queue.deliver(testJob({ sender: 'ann@example.org', arrivedAt: world.clock.now() }), call)
    await world.clock.advance(4 * 3_600_000 - 1)
    expect(warnings).toEqual([])
    await world.clock.advance(2 * 3_600_000)
    expect(warnings).toMatchObject([{ about: 'delay', sender: { local: 'ann' } }])
  })
})
