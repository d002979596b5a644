import { type Destination, MailwrightError, type Policy, reply, toRefusal } from '@mailwright/core'
import { fakeDns, recipients, testEnvironment, testMessage } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { limitRecipients, rejectNonFqdnHelo, rejectUnknownSenderDomain } from './client-checks.ts'
import { rejectUnauthorizedDestination, rejectUnlistedRecipient } from './destinations.ts'
import { hopLimit } from './hop-limit.ts'
import { acceptAll, permitAuthenticated, permitLoopback, permitNetworks } from './permit.ts'
import { atRcpt, call, opened, session, transaction, verdictOf } from './test-support/ask.ts'

const from = (address: string) => ({ client: { address, port: 40_000 } })

describe('permits', () => {
  it('accept clients in the networks, by v4, v6 and mapped addresses', async () => {
    const policy = permitNetworks(['10.0.0.0/8', '2001:db8::/32'])
    expect(await atRcpt(policy, undefined, from('10.9.8.7'))).toBe('accept')
    expect(await atRcpt(policy, undefined, from('::ffff:10.9.8.7'))).toBe('accept')
    expect(await atRcpt(policy, undefined, from('2001:db8::9'))).toBe('accept')
    expect(await atRcpt(policy, undefined, from('203.0.113.9'))).toBe('silence')
    expect(await atRcpt(policy, undefined, from('no address'))).toBe('silence')
    const [ann] = recipients('ann@example.org')
    const answer = await opened(policy, from('10.9.8.7')).rcpt?.(ann!, transaction(), call)
    expect(answer).toMatchObject({ reason: 'client 10.9.8.7 is in 10.0.0.0/8' })
    expect(() => permitNetworks(['10.0.0.0/99'])).toThrow('not an address')
  })

  it('accept clients on this host', async () => {
    expect(await atRcpt(permitLoopback(), undefined, from('127.0.0.53'))).toBe('accept')
    expect(await atRcpt(permitLoopback(), undefined, from('::1'))).toBe('accept')
    expect(await atRcpt(permitLoopback(), undefined, from('192.0.2.1'))).toBe('silence')
  })

  it('accept a client once it has authenticated', async () => {
    const facts = session()
    const asked = opened(permitAuthenticated(), facts)
    expect(await atRcpt(asked)).toBe('silence')
    facts.user = 'ann'
    expect(await atRcpt(asked)).toBe('accept')
  })

  it('accept everything where that is wanted', async () => {
    expect(await atRcpt(acceptAll())).toBe('accept')
  })
})

describe('relay control', () => {
  const unknown = reply(550, '5.1.1', 'User unknown')
  const destinations: Record<string, Destination> = {
    'ann@example.org': { kind: 'ours', refusal: null },
    'eve@example.org': { kind: 'ours', refusal: unknown },
    'bob@branch.example': { kind: 'relay', refusal: null },
    'eve@branch.example': { kind: 'relay', refusal: unknown },
    'x@elsewhere.example': { kind: 'elsewhere', refusal: null },
    'bad@elsewhere.example': { kind: 'elsewhere', refusal: reply(550, '5.1.3', 'Bad address') },
  }
  const sync = {
    destination: (address: { local: string; domain: string }) => destinations[`${address.local}@${address.domain}`]!,
  }
  const late = { destination: async (address: { local: string; domain: string }) => sync.destination(address) }

  it.each([
    ['at once', sync],
    ['late', late],
  ] as const)('takes what is ours or relayed and exists, with a router that answers %s', async (_, router) => {
    const policy = rejectUnauthorizedDestination(router)
    expect(await atRcpt(policy, 'ann@example.org')).toBe('accept')
    expect(await atRcpt(policy, 'bob@branch.example')).toBe('accept')
    expect(await atRcpt(policy, 'eve@example.org')).toBe('reject 550 5.1.1 User unknown')
    expect(await atRcpt(policy, 'eve@branch.example')).toBe('reject 550 5.1.1 User unknown')
    expect(await atRcpt(policy, 'x@elsewhere.example')).toBe('reject 554 5.7.1 Relay access denied')
    expect(await atRcpt(policy, 'bad@elsewhere.example')).toBe('reject 550 5.1.3 Bad address')
  })

  it('answers without a promise when the router does', () => {
    const asked = opened(rejectUnauthorizedDestination(sync))
    const [ann, eve] = recipients('ann@example.org', 'eve@example.org')
    expect(asked.rcpt?.(ann!, transaction(), call)).toEqual({
      verdict: { kind: 'accept' },
      reason: 'ann@example.org is ours',
    })
    expect(asked.rcpt?.(eve!, transaction(), call)).toMatchObject({ reason: 'eve@example.org cannot be delivered' })
  })

  it('tells anybody about recipients of ours that do not exist, and nothing else', async () => {
    const policy = rejectUnlistedRecipient(late)
    expect(await atRcpt(policy, 'eve@example.org')).toBe('reject 550 5.1.1 User unknown')
    expect(await atRcpt(policy, 'eve@branch.example')).toBe('reject 550 5.1.1 User unknown')
    for (const address of ['ann@example.org', 'x@elsewhere.example', 'bad@elsewhere.example'])
      expect(await atRcpt(policy, address)).toBe('silence')
  })

  it('fails with the router, which is a temporary refusal', async () => {
    const broken = {
      destination: async (): Promise<Destination> => {
        throw new MailwrightError('ERR_MAILWRIGHT_STORE', 'the table is gone')
      },
    }
    const error: unknown = await atRcpt(rejectUnauthorizedDestination(broken)).catch((reason: unknown) => reason)
    expect(toRefusal(error).code).toBe(451)
  })
})

describe('HELO', () => {
  it('must be a full name or an address literal', async () => {
    const asked = opened(rejectNonFqdnHelo())
    for (const name of [
      'mx.example.org',
      'mx.example.org.',
      '[192.0.2.1]',
      '[IPv6:2001:db8::1]',
      'bücher.example',
      'a_b.example',
    ])
      expect(verdictOf(await asked.helo?.(name, call)), name).toBe('silence')
    for (const name of [
      'localhost',
      'mx',
      '',
      '.',
      'a..b',
      '-a.b',
      'mx.example.org x',
      '192.0.2.1]',
      '[]',
      `${'a'.repeat(64)}.org`,
    ])
      expect(verdictOf(await asked.helo?.(name, call)), name).toMatch(/^reject 504 5\.5\.2 /)
  })
})

describe("the sender's domain", () => {
  const dns = fakeDns({
    'good.example': { MX: [[10, 'mx.good.example']] },
    'a-only.example': { A: ['192.0.2.1'] },
    'v6-only.example': { AAAA: ['2001:db8::1'] },
    'null.example': { MX: [[0, '']] },
    'nothing.example': { TXT: ['hello'] },
    'gone.example': 'no-name',
    'broken.example': 'failed',
    'half.example': { failing: ['A'] },
    'mx-broken.example': { A: ['192.0.2.1'], failing: ['MX'] },
  })
  const environment = testEnvironment({ dns })
  const ask = async (sender: string | null) =>
    verdictOf(await opened(rejectUnknownSenderDomain(), {}, environment).mail?.(transaction(sender), call))

  it('must be one that can be answered', async () => {
    for (const sender of ['x@good.example', 'x@a-only.example', 'x@v6-only.example', null, 'x@[192.0.2.1]'])
      expect(await ask(sender), String(sender)).toBe('silence')
    expect(await ask('x@null.example')).toMatch(/^reject 550 5\.7\.27 /)
    expect(await ask('x@nothing.example')).toMatch(/^reject 550 5\.1\.8 /)
    expect(await ask('x@gone.example')).toMatch(/^reject 550 5\.1\.8 /)
  })

  it('is refused for now where it cannot be found out', async () => {
    expect(await ask('x@broken.example')).toMatch(/^reject 450 4\.1\.8 /)
    expect(await ask('x@mx-broken.example')).toMatch(/^reject 450 4\.1\.8 /)
    const asked = opened(rejectUnknownSenderDomain(), {}, environment)
    const answer = await asked.mail?.(transaction('x@half.example'), call)
    expect(verdictOf(answer)).toMatch(/^reject 450 4\.1\.8 /)
    expect(answer).toMatchObject({ reason: 'A of half.example: SERVFAIL' })
  })
})

describe('limits', () => {
  it('ask for the rest of too many recipients later', async () => {
    const asked = opened(limitRecipients(2))
    const [ann] = recipients('ann@example.org')
    const ask = async (accepted: string[]) =>
      verdictOf(await asked.rcpt?.(ann!, transaction('b@example.net', accepted), call))
    expect(await ask(['x@example.org'])).toBe('silence')
    expect(await ask(['x@example.org', 'y@example.org'])).toBe('reject 452 4.5.3 Too many recipients')
  })

  it('end a mail loop by its Received fields', async () => {
    const asked = (policy: Policy, hops: number) =>
      opened(policy).message?.(
        testMessage(`${'Received: from a by b\n'.repeat(hops)}X-Received: no\n\nReceived: no\n`),
        transaction(),
        call,
      )
    expect(verdictOf(await asked(hopLimit(), 50))).toBe('silence')
    expect(verdictOf(await asked(hopLimit(), 51))).toBe('reject 554 5.4.6 Too many hops')
    expect(await asked(hopLimit(3), 4)).toMatchObject({ reason: '4 Received fields' })
  })
})
