import { createHash, X509Certificate } from 'node:crypto'
import type { EventOf, RemoteTls, StsPolicy } from '@mailwright/core'
import { testAuthority, type Zones } from '@mailwright/testing'
import { afterEach, describe, expect, it } from 'vitest'
import type { SmtpTransportOptions } from './options.ts'
import type { ServerOptions } from './testing-support/scripted-server.ts'
import { summary, type World, world } from './testing-support/world.ts'

const authority = testAuthority()
const good = authority.issue({ names: ['mx.example.org'] })
const misnamed = authority.issue({ names: ['other.example.org'] })
const expired = authority.issue({ names: ['mx.example.org'], notAfter: new Date(Date.UTC(2021, 0, 1)) })
const key = new X509Certificate(good.cert).publicKey.export({ type: 'spki', format: 'der' })
const sha256 = createHash('sha256').update(key).digest()
const fingerprint = sha256.toString('hex')

const SECURE: Zones = {
  'example.org': { MX: [[10, 'mx.example.org']], secure: true },
  'mx.example.org': { A: ['192.0.2.25'], secure: true },
}
const DANE: Zones = {
  ...SECURE,
  '_25._tcp.mx.example.org': {
    TLSA: [{ usage: 3, selector: 1, matching: 1, data: new Uint8Array(sha256) }],
    secure: true,
  },
}
const sts = (mode: StsPolicy['mode'], mx = 'mx.example.org'): Partial<SmtpTransportOptions> => ({
  mtaSts: { find: () => ({ mode, mx: [mx] }) },
})

const worlds: World[] = []
afterEach(async () => {
  for (const each of worlds.splice(0)) await each.end()
})

async function open(
  options: Partial<SmtpTransportOptions>,
  server: ServerOptions,
  zones: Zones = SECURE,
): Promise<World> {
  const made = await world(options, server, { zones, trusted: authority.ca })
  worlds.push(made)
  return made
}

/** Sends one message, and gives its line and what was told of TLS. */
async function told(
  options: Partial<SmtpTransportOptions>,
  server: ServerOptions,
  zones?: Zones,
): Promise<{ readonly line: string; readonly results: readonly EventOf<'tls.result'>[] }> {
  const { deliver, scope } = await open(options, server, zones)
  const [line = ''] = summary(await deliver())
  return { line, results: scope.events.of('tls.result') }
}

describe('the TLS of a delivery stands in its outcome', () => {
  it.each<readonly [string, Partial<SmtpTransportOptions>, typeof good, Zones | undefined, Partial<RemoteTls>]>([
    ['as just encrypted', {}, misnamed, undefined, { security: 'encrypted' }],
    ['as verified by an authority', { tls: 'verify' }, good, undefined, { security: 'verified', by: 'authority' }],
    ['as verified without anybody asking', {}, good, undefined, { security: 'verified', by: 'authority' }],
    ['as verified by DANE', { tls: 'dane' }, good, DANE, { security: 'verified', by: 'dane' }],
    ['as verified by MTA-STS', sts('enforce'), good, undefined, { security: 'verified', by: 'sts' }],
    [
      'as verified by fingerprint',
      { tls: { level: 'fingerprint', fingerprints: [fingerprint] } },
      good,
      undefined,
      { security: 'verified', by: 'fingerprint' },
    ],
  ])('%s', async (_, options, tls, zones, expected) => {
    const { deliver } = await open(options, { tls }, zones)
    const outcome = (await deliver()).get(1)!
    expect(outcome.status).toBe('ok')
    expect(outcome.remote?.tls).toMatchObject({
      protocol: 'TLSv1.3',
      cipher: expect.stringMatching(/^TLS_/),
      ...expected,
    })
    expect('by' in outcome.remote!.tls!).toBe('by' in expected)
  })

  it('of refusals, too; and clear text says nothing', async () => {
    const answer: ServerOptions['answer'] = (command) => (command.startsWith('RCPT') ? '550 5.1.1 no' : undefined)
    const secured = await open({}, { tls: good, answer })
    expect((await secured.deliver()).get(1)!.remote?.tls?.security).toBe('verified')
    const clear = await open({}, { answer })
    expect('tls' in (await clear.deliver()).get(1)!.remote!).toBe(false)
  })
})

describe('a TLS result is told', () => {
  it.each<readonly [string, Partial<SmtpTransportOptions>, ServerOptions, Zones | undefined, RegExp, string, string]>([
    ['of success', {}, { tls: good }, undefined, /^ok/, 'no-policy-found', 'success'],
    ['of success by DANE', { tls: 'dane' }, { tls: good }, DANE, /^ok/, 'tlsa', 'success'],
    ['of a server without TLS', {}, {}, undefined, /^ok/, 'no-policy-found', 'starttls-not-supported'],
    ['of one that should have it', sts('enforce'), {}, undefined, /4\.7\.4/, 'sts', 'starttls-not-supported'],
    [
      'of one that thinks better of it',
      {},
      { tls: good, answer: (command) => (command === 'STARTTLS' ? '454 4.7.0 later' : undefined) },
      undefined,
      /^ok/,
      'no-policy-found',
      'starttls-not-supported',
    ],
    [
      'of a handshake that fails',
      {},
      {
        tls: good,
        answer: (command, { nth }) =>
          command === 'STARTTLS' && nth === 1 ? { say: '220 go\r\n', and: 'close' } : undefined,
      },
      undefined,
      /^ok/,
      'no-policy-found',
      'validation-failure',
    ],
    ['of a wrong name', sts('enforce'), { tls: misnamed }, undefined, /4\.7\.5/, 'sts', 'certificate-host-mismatch'],
    ['of an expired certificate', sts('enforce'), { tls: expired }, undefined, /4\.7\.5/, 'sts', 'certificate-expired'],
    [
      'of a stranger',
      sts('enforce'),
      { tls: testAuthority().issue({ names: ['mx.example.org'] }) },
      undefined,
      /4\.7\.5/,
      'sts',
      'certificate-not-trusted',
    ],
    [
      'of a policy for others',
      sts('enforce', 'x.example'),
      { tls: good },
      undefined,
      /4\.7\.5/,
      'sts',
      'validation-failure',
    ],
    ['of a wrong key', { tls: 'dane' }, { tls: misnamed }, DANE, /4\.7\.5/, 'tlsa', 'validation-failure'],
    [
      'of no records',
      { tls: 'dane-only' },
      { tls: good },
      { ...SECURE, '_25._tcp.mx.example.org': { secure: true } },
      /4\.7\.5/,
      'no-policy-found',
      'dane-required',
    ],
    [
      'of no answer about records',
      { tls: 'dane' },
      { tls: good },
      { ...SECURE, '_25._tcp.mx.example.org': 'failed' },
      /4\.7\.5/,
      'no-policy-found',
      'dnssec-invalid',
    ],
    ['of a policy in testing', sts('testing'), { tls: good }, undefined, /^ok/, 'sts', 'success'],
    ['of what testing shows', sts('testing'), { tls: misnamed }, undefined, /^ok/, 'sts', 'certificate-host-mismatch'],
    [
      'of whom testing misses',
      sts('testing', 'x.example'),
      { tls: good },
      undefined,
      /^ok/,
      'sts',
      'validation-failure',
    ],
  ])('%s', async (_, options, server, zones, line, policy, result) => {
    const sent = await told(options, server, zones)
    expect(sent.line).toMatch(line)
    expect(sent.results).toMatchObject([
      { domain: 'example.org', mx: 'mx.example.org', policy: { type: policy }, result },
    ])
  })

  it.each<readonly [string, Partial<SmtpTransportOptions>, ServerOptions]>([
    ['where the operator wants no TLS', { tls: 'none' }, {}],
    ['of a smarthost', { nextHop: '[mx.example.org]' }, { tls: good }],
    ['of a server that does not greet', {}, { answer: () => ({ and: 'close' }) }],
  ])('not %s', async (_, options, server) => {
    expect((await told(options, server)).results).toEqual([])
  })
})

describe('a TLS session', () => {
  it('is resumed by the next connection, and proves the same', async () => {
    const { deliver, environment, server } = await open({ tls: 'verify', idleTimeout: '1s' }, { tls: good })
    const secure = environment.net.secure.bind(environment.net)
    const resumed: unknown[] = []
    Object.assign(environment.net, {
      secure: async (...given: Parameters<typeof secure>) => {
        const made = await secure(...given)
        resumed.push(made.facts.resumed)
        return made
      },
    })
    for (let n = 0; n < 3; n++) {
      const outcome = (await deliver()).get(1)!
      expect(outcome.remote?.tls).toMatchObject({ security: 'verified', by: 'authority' })
      await environment.clock.advance('10s')
    }
    expect(server.visits).toHaveLength(3)
    expect(resumed).toEqual([false, true, true])
  })
})
