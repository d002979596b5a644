import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { policy, reject, reply } from '@mailwright/core'
import { memoryStore } from '@mailwright/queue'
import {
  fakeDns,
  scriptedMx,
  scriptedTransport,
  type TestEnvironment,
  testAuthority,
  testEnvironment,
} from '@mailwright/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type MxServerOptions, mxServer } from './mx-server.ts'
import type { RelayServer } from './relay-server.ts'
import { client, LISTEN, started } from './test-support/world.ts'

const TEXT = 'Subject: hello\r\n\r\nhello\r\n'
const STRANGER = '198.51.100.7'

function mailFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'mailwright-mx-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

function exchanger(world: TestEnvironment, folder: string, options: Partial<MxServerOptions> = {}): RelayServer {
  return mxServer({
    hostname: 'mx.example.org',
    listen: LISTEN,
    store: memoryStore(),
    domains: ['example.org'],
    mailboxes: { 'ann@example.org': join(folder, 'ann'), 'bob@example.org': join(folder, 'bob') },
    aliases: { 'all@example.org': ['ann@example.org', 'bob@example.org'] },
    environment: world,
    ...options,
  })
}

function mailOf(folder: string, name: string): readonly string[] {
  const arrivals = join(folder, name, 'new')
  return readdirSync(arrivals).map((file) => readFileSync(join(arrivals, file), 'utf8'))
}

describe('a mail exchanger', () => {
  it('keeps mail for its domains in Maildirs, from anybody', async () => {
    const [world, folder] = [testEnvironment(), mailFolder()]
    await started(exchanger(world, folder).mta, world)
    const talk = await client(world, STRANGER)
    await talk.mail('zoe@example.net', ['Ann@Example.org'], TEXT)
    await world.clock.settle()
    const [letter, ...more] = mailOf(folder, 'ann')
    expect(more).toEqual([])
    expect(letter).toMatch(/^Return-Path: <zoe@example\.net>\r\n/)
    expect(letter?.endsWith(TEXT)).toBe(true)
  })

  it('lets the servers of its relay domains ask for their mail, and those of its own domains not', async () => {
    const [world, folder] = [testEnvironment(), mailFolder()]
    await started(exchanger(world, folder, { router: { relayDomains: ['.branch.example'] } }).mta, world)
    const talk = await client(world, STRANGER)
    await talk.command('ETRN one.branch.example', 250)
    await talk.command('ETRN example.org', 459)
    const other = testEnvironment()
    await started(exchanger(other, folder).mta, other)
    await (await client(other, STRANGER)).command('ETRN one.branch.example', 502)
  })

  it('gives mail for an alias to each of its addresses', async () => {
    const [world, folder] = [testEnvironment(), mailFolder()]
    await started(exchanger(world, folder).mta, world)
    const talk = await client(world, STRANGER)
    await talk.mail('zoe@example.net', ['all@example.org'], TEXT)
    await world.clock.settle()
    for (const name of ['ann', 'bob']) expect(mailOf(folder, name)).toHaveLength(1)
  })

  it('refuses mail for names it does not have, and for domains that are not its own', async () => {
    const [world, folder] = [testEnvironment(), mailFolder()]
    await started(exchanger(world, folder).mta, world)
    const talk = await client(world, STRANGER)
    await talk.command('MAIL FROM:<zoe@example.net>', 250)
    await talk.command('RCPT TO:<nobody@example.org>', '550 5.1.1')
    await talk.command('RCPT TO:<eve@example.com>', '554 5.7.1')
  })

  it('relays for its networks', async () => {
    const zones = { 'example.net': { MX: [[10, 'mx.example.net'] as const] }, 'mx.example.net': { A: ['192.0.2.30'] } }
    const [world, folder] = [testEnvironment({ dns: fakeDns(zones) }), mailFolder()]
    const mx = await scriptedMx({ network: world.net, clock: world.clock, host: '192.0.2.30' })
    await started(exchanger(world, folder, { relayNetworks: ['10.0.0.0/8'] }).mta, world)
    const talk = await client(world, '10.1.2.3')
    await talk.mail('ann@example.org', ['zoe@example.net'], TEXT)
    await world.clock.settle()
    expect(mx.messages).toHaveLength(1)
    const local = await client(world)
    await local.command('MAIL FROM:<ann@example.org>', 250)
    await local.command('RCPT TO:<zoe@example.net>', '554 5.7.1')
  })

  it('asks policies of its own first', async () => {
    const [world, folder] = [testEnvironment(), mailFolder()]
    const noNews = policy('no-news', {
      mail: ({ sender }) => (sender?.local === 'news' ? reject(reply(550, '5.7.1', 'No news')) : undefined),
    })
    await started(exchanger(world, folder, { policies: [noNews] }).mta, world)
    const talk = await client(world)
    await talk.command('MAIL FROM:<news@example.net>', 250)
    await talk.command('RCPT TO:<ann@example.org>', '550 5.7.1 No news')
  })

  it('offers STARTTLS when it has a certificate', async () => {
    const [world, folder] = [testEnvironment(), mailFolder()]
    const authority = testAuthority()
    await started(exchanger(world, folder, { tls: authority.issue({ names: ['mx.example.org'] }) }).mta, world)
    const talk = await client(world, STRANGER)
    await talk.command('STARTTLS', 220)
    const trust = { servername: 'mx.example.org', verify: true, ca: [authority.ca] }
    const call = { signal: new AbortController().signal }
    await talk.upgrade(async (wire) => (await world.net.secure(wire, trust, call)).wire)
    await talk.command('EHLO client.example.com', 250)
    await talk.mail('zoe@example.net', ['ann@example.org'], TEXT)
    await world.clock.settle()
    expect(mailOf(folder, 'ann')[0]).toMatch(/with ESMTPS id/)
  })

  it('delivers by transports and routes that are given', async () => {
    const [world, folder] = [testEnvironment(), mailFolder()]
    const lists = scriptedTransport({ name: 'lists', outcomes: { 'ann@example.org': ['ok'] } })
    const router = { transports: { 'ann@example.org': 'lists:here' } }
    await started(exchanger(world, folder, { transports: { lists }, router }).mta, world)
    const talk = await client(world, STRANGER)
    await talk.mail('zoe@example.net', ['ann@example.org'], TEXT)
    await world.clock.settle()
    expect(lists.jobs).toHaveLength(1)
  })

  it('keeps mail in the queue while a Maildir cannot be written', async () => {
    const [world, folder] = [testEnvironment(), mailFolder()]
    const mailboxes = { 'ann@example.org': join(folder, 'not/mounted/ann') }
    const { mta, queue } = exchanger(world, folder, { mailboxes })
    const events = await started(mta, world)
    const talk = await client(world, STRANGER)
    await talk.mail('zoe@example.net', ['ann@example.org'], TEXT)
    await world.clock.settle()
    expect(events.of('recipient.settled').map(({ outcome }) => outcome.status)).toEqual(['deferred'])
    expect((await queue.stats()).messages).toBe(1)
  })

  it('does not begin with a domain that is both its own and relayed for', () => {
    const router = { relayDomains: ['example.org'] }
    expect(() => exchanger(testEnvironment(), mailFolder(), { router })).toThrow(
      expect.objectContaining({ code: 'ERR_MAILWRIGHT_CONFIG' }),
    )
  })
})
