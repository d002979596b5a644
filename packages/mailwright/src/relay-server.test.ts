import { memoryStore } from '@mailwright/queue'
import {
  dialogue,
  fakeDns,
  type ScriptedMx,
  scriptedMx,
  type TestEnvironment,
  testEnvironment,
} from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { type RelayServer, type RelayServerOptions, relayServer } from './relay-server.ts'
import { client, LISTEN, started } from './test-support/world.ts'

const TEXT = 'Subject: hello\r\n\r\nhello\r\n'

function relay(world: TestEnvironment, options: Partial<RelayServerOptions> = {}): RelayServer {
  return relayServer({
    hostname: 'relay.example.org',
    listen: LISTEN,
    store: memoryStore(),
    nextHop: '[192.0.2.25]:2525',
    environment: world,
    ...options,
  })
}

/** The next hop of the tests: a healthy server unless told otherwise. */
function nextHop(world: TestEnvironment, host = '192.0.2.25', port = 2525): Promise<ScriptedMx> {
  return scriptedMx({ network: world.net, clock: world.clock, host, port })
}

describe('a relay', () => {
  it('sends everything to its next hop, whoever it is for', async () => {
    const world = testEnvironment()
    const mx = await nextHop(world)
    const { mta, queue, listener } = relay(world)
    await started(mta, world)
    expect(listener.url).toBe('smtp://192.0.2.1:25')
    const talk = await client(world)
    await talk.mail('ann@example.org', ['bob@example.net', 'eve@example.com'], TEXT)
    await world.clock.settle()
    expect(mx.messages.map(({ sender, recipients }) => ({ sender, recipients }))).toEqual([
      { sender: 'ann@example.org', recipients: ['bob@example.net', 'eve@example.com'] },
    ])
    expect(mx.messages[0]!.data.toString()).toMatch(/^Received: from client\.example\.com \(\[127\.0\.0\.1\]\)\r\n/)
    expect(mx.messages[0]!.data.toString().endsWith(TEXT)).toBe(true)
    expect((await queue.stats()).messages).toBe(0)
    mx.assertDone()
  })

  it('keeps mail while its next hop is down, and sends it when that is back', async () => {
    const world = testEnvironment()
    const mx = await nextHop(world)
    await mx.down()
    const { mta, queue } = relay(world)
    const events = await started(mta, world)
    const talk = await client(world)
    await talk.mail('ann@example.org', ['bob@example.net'], TEXT)
    await world.clock.advance('1h')
    expect((await queue.stats()).messages).toBe(1)
    expect(events.of('recipient.settled').every(({ outcome }) => outcome.status === 'deferred')).toBe(true)
    await mx.listen()
    await world.clock.advance('2h')
    expect(mx.messages).toHaveLength(1)
    expect((await queue.stats()).messages).toBe(0)
  })

  it('returns mail to its sender when the next hop refuses it for good', async () => {
    const world = testEnvironment()
    const mx = await nextHop(world)
    mx.play([{ at: 'rcpt', address: 'bob@example.net', reply: '550 5.1.1 no such user' }])
    const { mta } = relay(world)
    await started(mta, world)
    const talk = await client(world)
    await talk.mail('ann@example.org', ['bob@example.net'], TEXT)
    await world.clock.settle()
    expect(mx.messages.map(({ sender, recipients }) => [sender, ...recipients])).toEqual([['', 'ann@example.org']])
    expect(mx.messages[0]!.data.toString()).toContain('no such user')
  })

  it('takes mail from loopback only, unless other networks are named', async () => {
    const world = testEnvironment()
    await started(relay(world).mta, world)
    const stranger = await client(world, '198.51.100.7')
    await stranger.command('MAIL FROM:<ann@example.org>', 250)
    await stranger.command('RCPT TO:<bob@example.net>', 550)
    const other = testEnvironment()
    await started(relay(other, { allow: ['198.51.100.0/24'] }).mta, other)
    const friend = await client(other, '198.51.100.7')
    await friend.command('MAIL FROM:<ann@example.org>', 250)
    await friend.command('RCPT TO:<bob@example.net>', 250)
    const local = await client(other)
    await local.command('MAIL FROM:<ann@example.org>', 250)
    await local.command('RCPT TO:<bob@example.net>', 550)
  })

  it("finds each domain's own mail exchangers when told to", async () => {
    const zones = { 'example.net': { MX: [[10, 'mx.example.net'] as const] }, 'mx.example.net': { A: ['192.0.2.30'] } }
    const world = testEnvironment({ dns: fakeDns(zones) })
    const mx = await nextHop(world, '192.0.2.30', 25)
    await started(relay(world, { nextHop: 'mx' }).mta, world)
    const talk = await client(world)
    await talk.mail('ann@example.org', ['bob@example.net'], TEXT)
    await world.clock.settle()
    expect(mx.messages).toHaveLength(1)
  })

  it('starts the mail that waits for a server when that asks for it, and for no other domain', async () => {
    const world = testEnvironment()
    const mx = await nextHop(world)
    await mx.down()
    await started(relay(world, { etrn: ['branch.example.net'] }).mta, world)
    const talk = await client(world)
    await talk.mail('ann@example.org', ['bob@branch.example.net'], TEXT)
    await world.clock.settle()
    await mx.listen()
    await talk.command('ETRN example.com', '459 4.7.1 No mail is kept for that domain')
    await world.clock.settle()
    expect(mx.messages).toEqual([])
    await talk.command('ETRN branch.example.net', '250 2.0.0 Queuing started')
    await world.clock.settle()
    expect(mx.messages).toHaveLength(1)
  })

  it('does not offer that by omission', async () => {
    const world = testEnvironment()
    await started(relay(world).mta, world)
    await (await client(world)).command('ETRN branch.example.net', 502)
  })

  it('serves who connects by its unix socket, where that is wanted', async () => {
    const world = testEnvironment()
    const mx = await nextHop(world)
    const path = '/run/mailwright.sock'
    await started(relay(world, { listen: { path }, unixPeers: 'loopback' }).mta, world)
    const call = { signal: new AbortController().signal }
    const talk = dialogue(await world.net.connect({ host: path, port: 0 }, call))
    await talk.expect(220)
    await talk.command('EHLO client.example.com', 250)
    await talk.mail('ann@example.org', ['bob@example.net'], TEXT)
    await world.clock.settle()
    expect(mx.messages).toHaveLength(1)
    expect(() => relay(world, { listen: { path } })).toThrow(expect.objectContaining({ code: 'ERR_MAILWRIGHT_CONFIG' }))
  })

  it('stops mail that goes in a circle', async () => {
    const world = testEnvironment()
    await started(relay(world).mta, world)
    const talk = await client(world)
    await talk.command('MAIL FROM:<ann@example.org>', 250)
    await talk.command('RCPT TO:<bob@example.net>', 250)
    await talk.command('DATA', 354)
    await talk.data(`${'Received: from a by b; now\r\n'.repeat(51)}${TEXT}`, 554)
  })

  it('hands options on to its queue and its transport', async () => {
    const world = testEnvironment()
    const mx = await nextHop(world)
    mx.play([{ at: 'rcpt', reply: '450 4.2.0 later' }])
    const { mta } = relay(world, { queue: { bounceLifetime: '10m' }, smtp: { hostname: 'out.example.org' } })
    const events = await started(mta, world)
    const talk = await client(world)
    await talk.mail('', ['bob@example.net'], TEXT)
    await world.clock.advance('1h')
    expect(mx.logs[0]).toContain('C: EHLO out.example.org')
    expect(events.of('message.undeliverable')).toHaveLength(1)
  })

  it.each([{ allow: ['10.0.0.0/33'] }, { hostname: '' }])('does not begin with %j', (options) => {
    expect(() => relay(testEnvironment(), options)).toThrow(expect.objectContaining({ code: 'ERR_MAILWRIGHT_CONFIG' }))
  })
})
