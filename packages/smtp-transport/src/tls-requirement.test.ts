import { createHash, X509Certificate } from 'node:crypto'
import type { StsPolicy, TlsaRecord } from '@mailwright/core'
import { testAuthority, type Zones } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { summary, world } from './testing-support/world.ts'
import type { TlsPolicies } from './tls-policy.ts'

const authority = testAuthority()
const good = authority.issue({ names: ['mx.example.org'] })
const forDomain = authority.issue({ names: ['example.org', '*.hosts.example.org'] })
const stranger = testAuthority('Somebody else').issue({ names: ['mx.example.org'] })
const expired = authority.issue({ names: ['mx.example.org'], notAfter: new Date(Date.UTC(2021, 0, 1)) })
const misnamed = authority.issue({ names: ['other.example.org'] })

type Certificate = typeof good

const der = (pem: string): Buffer => new X509Certificate(pem).raw
const key = (pem: string): Buffer => new X509Certificate(pem).publicKey.export({ type: 'spki', format: 'der' })
const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest()
const sha512 = (bytes: Uint8Array): Buffer => createHash('sha512').update(bytes).digest()

/** The record that the certificate in `pem` matches. */
function tlsa(usage: number, selector: number, matching: number, pem: string): TlsaRecord {
  const selected = selector === 0 ? der(pem) : key(pem)
  const data = matching === 0 ? selected : matching === 1 ? sha256(selected) : sha512(selected)
  return { usage, selector, matching, data: new Uint8Array(data) }
}

/** A destination whose exchanger has these TLSA records. */
function zones(
  records: readonly TlsaRecord[] | 'none' | 'failed',
  insecure: 'mx' | 'address' | 'tlsa' | '' = '',
): Zones {
  const at = { secure: insecure !== 'tlsa' }
  const name = '_25._tcp.mx.example.org'
  return {
    'example.org': { MX: [[10, 'mx.example.org']], secure: insecure !== 'mx' },
    'mx.example.org': { A: ['192.0.2.25'], secure: insecure !== 'address' },
    ...(records === 'failed' ? { [name]: 'failed' } : {}),
    ...(records === 'none' ? { [name]: at } : {}),
    ...(typeof records === 'string' ? {} : { [name]: { ...at, TLSA: records } }),
  }
}

/** How a message to example.org fares, and whether it went encrypted. */
async function fare(
  tls: TlsPolicies,
  server: Certificate | undefined,
  given: { readonly zones?: Zones; readonly sts?: StsPolicy } = {},
): Promise<string> {
  const { sts } = given
  const opened = await world(
    { tls, ...(sts === undefined ? {} : { mtaSts: { find: () => sts } }) },
    server === undefined ? {} : { tls: server },
    given.zones === undefined ? {} : { zones: given.zones },
  )
  const [outcome = ''] = summary(await opened.deliver())
  const inClear = opened.server.visits.some(
    (visit) => !visit.secure && visit.commands.some((each) => /^MAIL/.test(each)),
  )
  await opened.end()
  if (outcome.startsWith('ok')) return inClear ? 'delivered in clear text' : 'delivered encrypted'
  return inClear ? `in clear text: ${outcome}` : outcome.replace(/^deferred destination 451 /, '')
}

const WHO = 'mx.example.org[192.0.2.25]:25 is not who it should be'
const NO_MATCH = `4.7.5 ${WHO}: the certificate matches no TLSA record`
const ca = [authority.ca]

describe('levels without DNS', () => {
  const fingerprint = sha256(der(good.cert)).toString('hex')
  const keyFingerprint = sha256(key(good.cert))
    .toString('hex')
    .toUpperCase()
    .replace(/..(?!$)/g, '$&:')

  it.each<[string, TlsPolicies, Certificate | undefined, string]>([
    ['none', 'none', good, 'delivered in clear text'],
    ['may, offered', 'may', stranger, 'delivered encrypted'],
    ['may, not offered', 'may', undefined, 'delivered in clear text'],
    ['encrypt, by anybody', 'encrypt', stranger, 'delivered encrypted'],
    [
      'encrypt, not offered',
      'encrypt',
      undefined,
      '4.7.4 TLS is required, but mx.example.org[192.0.2.25]:25 does not offer it',
    ],
    ['the right fingerprint', { level: 'fingerprint', fingerprints: [fingerprint] }, good, 'delivered encrypted'],
    ['the right key', { level: 'fingerprint', fingerprints: [keyFingerprint] }, good, 'delivered encrypted'],
    [
      'the wrong fingerprint',
      { level: 'fingerprint', fingerprints: [fingerprint] },
      misnamed,
      `4.7.5 ${WHO}: the certificate has none of the fingerprints`,
    ],
    ['verify, the exchanger', { level: 'verify', ca }, good, 'delivered encrypted'],
    [
      'verify, another name',
      { level: 'verify', ca },
      misnamed,
      `4.7.5 ${WHO}: the certificate is not for mx.example.org`,
    ],
    [
      'verify, an expired certificate',
      { level: 'verify', ca },
      expired,
      `4.7.5 ${WHO}: the certificate is from nobody we trust`,
    ],
    [
      'verify, an unknown authority',
      { level: 'verify', ca },
      stranger,
      `4.7.5 ${WHO}: the certificate is from nobody we trust`,
    ],
    ['verify, the default authorities', 'verify', good, `4.7.5 ${WHO}: the certificate is from nobody we trust`],
    ['verify, names given', { level: 'verify', ca, names: ['other.example.org'] }, misnamed, 'delivered encrypted'],
    [
      'verify, a domain given',
      { level: 'verify', ca, names: ['.hosts.example.org'] },
      forDomain,
      'delivered encrypted',
    ],
    ['secure, the domain itself', { level: 'secure', ca }, forDomain, 'delivered encrypted'],
    ['secure, a host below it', { level: 'secure', ca }, good, 'delivered encrypted'],
    [
      'secure, names given',
      { level: 'secure', ca, names: ['example.org'] },
      good,
      `4.7.5 ${WHO}: the certificate is not for example.org`,
    ],
    [
      'verify, not offered',
      { level: 'verify', ca },
      undefined,
      '4.7.4 TLS is required, but mx.example.org[192.0.2.25]:25 does not offer it',
    ],
  ])('%s', async (_, tls, server, expected) => {
    expect(await fare(tls, server)).toBe(expected)
  })
})

describe('whose policy it is', () => {
  it.each<[string, TlsPolicies, string]>([
    ['the next hop as the lane writes it', { 'example.org': 'none', '.org': 'encrypt' }, 'delivered in clear text'],
    ['a parent domain', { '.org': 'none', '*': 'encrypt' }, 'delivered in clear text'],
    ['all others', { 'example.net': 'encrypt', '*': 'none' }, 'delivered in clear text'],
    ['nobody: may', { 'example.net': 'none' }, 'delivered encrypted'],
    ['a function', (destination) => (destination === 'example.org' ? 'none' : 'encrypt'), 'delivered in clear text'],
    ['a function without an opinion: may', () => undefined, 'delivered encrypted'],
  ])('%s', async (_, tls, expected) => {
    expect(await fare(tls, good)).toBe(expected)
  })

  it('a function that fails defers the mail', async () => {
    expect(
      await fare(() => {
        throw new Error('table is gone')
      }, good),
    ).toBe('4.3.0 Temporary failure, please try again later')
  })

  it.each<[string, TlsPolicies]>([
    ['no TLS level', 'sometimes' as 'may'],
    ['no TLS level', { 'example.org': { level: 'often' as 'may' } }],
    ['needs fingerprints', { level: 'fingerprint' }],
    ['no SHA-256 fingerprint', { level: 'fingerprint', fingerprints: ['ab:cd'] }],
  ])('%s', async (problem, tls) => {
    await expect(world({ tls })).rejects.toThrow(problem)
  })
})

describe('DANE', () => {
  it.each<[string, readonly TlsaRecord[], Certificate, string]>([
    ...[0, 1].flatMap((selector) =>
      [0, 1, 2].map((matching): [string, readonly TlsaRecord[], Certificate, string] => [
        `3 ${selector} ${matching}`,
        [tlsa(3, selector, matching, good.cert)],
        good,
        'delivered encrypted',
      ]),
    ),
    ['3 1 1 of another key', [tlsa(3, 1, 1, misnamed.cert)], good, NO_MATCH],
    ['3 1 1: dates do not count', [tlsa(3, 1, 1, expired.cert)], expired, 'delivered encrypted'],
    ['3 1 1: names do not count', [tlsa(3, 1, 1, misnamed.cert)], misnamed, 'delivered encrypted'],
    ['one of several is enough', [tlsa(3, 1, 1, misnamed.cert), tlsa(3, 1, 1, good.cert)], good, 'delivered encrypted'],
    ['2 0 1 of the server itself', [tlsa(2, 0, 1, good.cert)], good, 'delivered encrypted'],
    ['2 0 1 of the server itself: dates count', [tlsa(2, 0, 1, expired.cert)], expired, NO_MATCH],
    [
      '2 0 1 of the server itself: names count',
      [tlsa(2, 0, 1, misnamed.cert)],
      misnamed,
      `4.7.5 ${WHO}: the certificate is not for mx.example.org or example.org`,
    ],
    ['2 1 1 of an authority it does not show', [tlsa(2, 1, 1, authority.ca)], good, NO_MATCH],
    ['2 1 1 of the authority it shows', [tlsa(2, 1, 1, authority.ca)], withIssuer(good), 'delivered encrypted'],
    ['2 0 2 of the authority it shows', [tlsa(2, 0, 2, authority.ca)], withIssuer(good), 'delivered encrypted'],
    ['2 1 1: the domain as name', [tlsa(2, 1, 1, authority.ca)], withIssuer(forDomain), 'delivered encrypted'],
    [
      '2 1 1: another name',
      [tlsa(2, 1, 1, authority.ca)],
      withIssuer(misnamed),
      `4.7.5 ${WHO}: the certificate is not for mx.example.org or example.org`,
    ],
    ['2 1 1: an authority that has not issued it', [tlsa(2, 1, 1, authority.ca)], withIssuer(stranger), NO_MATCH],
    [
      '0 and 1 cannot be used: any certificate',
      [tlsa(1, 1, 1, misnamed.cert), tlsa(0, 1, 1, misnamed.cert)],
      good,
      'delivered encrypted',
    ],
    [
      'unknown numbers cannot be used',
      [
        { ...tlsa(3, 1, 1, misnamed.cert), matching: 9 },
        { ...tlsa(3, 1, 1, misnamed.cert), selector: 7 },
      ],
      good,
      'delivered encrypted',
    ],
    [
      'a hash of the wrong length cannot be used',
      [{ ...tlsa(3, 1, 1, good.cert), data: new Uint8Array(31) }],
      good,
      'delivered encrypted',
    ],
  ])('%s', async (_, records, server, expected) => {
    expect(await fare('dane', server, { zones: zones(records) })).toBe(expected)
  })

  it.each<[string, TlsPolicies, Zones, Certificate | undefined, string]>([
    [
      'records, no STARTTLS',
      'dane',
      zones([tlsa(3, 1, 1, good.cert)]),
      undefined,
      '4.7.4 TLS is required, but mx.example.org[192.0.2.25]:25 does not offer it',
    ],
    [
      'unusable records, no STARTTLS',
      'dane',
      zones([tlsa(1, 1, 1, good.cert)]),
      undefined,
      '4.7.4 TLS is required, but mx.example.org[192.0.2.25]:25 does not offer it',
    ],
    ['no records', 'dane', zones('none'), undefined, 'delivered in clear text'],
    ['no records', 'dane-only', zones('none'), good, '4.7.5 host mx.example.org has no usable TLSA records'],
    ['no answer', 'dane', zones('failed'), good, '4.7.5 no answer from DNS to the TLSA query for mx.example.org'],
    ['no answer', 'dane-only', zones('failed'), good, '4.7.5 no answer from DNS to the TLSA query for mx.example.org'],
    ['records that are not secure', 'dane', zones([tlsa(3, 1, 1, misnamed.cert)], 'tlsa'), good, 'delivered encrypted'],
    [
      'records that are not secure',
      'dane-only',
      zones([tlsa(3, 1, 1, good.cert)], 'tlsa'),
      good,
      '4.7.5 host mx.example.org has no usable TLSA records',
    ],
    ['an MX that is not secure', 'dane', zones([tlsa(3, 1, 1, misnamed.cert)], 'mx'), good, 'delivered encrypted'],
    [
      'an MX that is not secure',
      'dane-only',
      zones([tlsa(3, 1, 1, good.cert)], 'mx'),
      good,
      '4.7.5 host mx.example.org has no usable TLSA records',
    ],
    [
      'an address that is not secure',
      'dane',
      zones([tlsa(3, 1, 1, misnamed.cert)], 'address'),
      good,
      'delivered encrypted',
    ],
    ['records, at level may', 'may', zones([tlsa(3, 1, 1, misnamed.cert)]), good, 'delivered encrypted'],
  ])('%s, %s', async (_, level, given, server, expected) => {
    expect(await fare(level, server, { zones: given })).toBe(expected)
  })

  it('the next exchanger is used where the first is not who it should be', async () => {
    const both: Zones = {
      ...zones([tlsa(3, 1, 1, misnamed.cert)]),
      'example.org': {
        MX: [
          [10, 'no.example.org'],
          [20, 'mx.example.org'],
        ],
        secure: true,
      },
      'no.example.org': { A: ['192.0.2.25'], secure: true },
      '_25._tcp.no.example.org': { TLSA: [tlsa(3, 1, 1, stranger.cert)], secure: true },
    }
    expect(await fare('dane', misnamed, { zones: both })).toBe('delivered encrypted')
  })
})

describe('MTA-STS', () => {
  const enforce: StsPolicy = { mode: 'enforce', mx: ['mx.example.org'] }

  it.each<[string, TlsPolicies, StsPolicy, Certificate | undefined, string]>([
    ['enforced, the host named', { level: 'may', ca }, enforce, good, 'delivered encrypted'],
    [
      'enforced, by wildcard',
      { level: 'may', ca },
      { mode: 'enforce', mx: ['*.example.org'] },
      good,
      'delivered encrypted',
    ],
    [
      'enforced, a wildcard of two labels less',
      { level: 'may', ca },
      { mode: 'enforce', mx: ['*.org'] },
      good,
      '4.7.5 the MTA-STS policy of example.org does not name mx.example.org',
    ],
    [
      'enforced, another host',
      { level: 'may', ca },
      { mode: 'enforce', mx: ['other.example.org'] },
      good,
      '4.7.5 the MTA-STS policy of example.org does not name mx.example.org',
    ],
    [
      'enforced, another name',
      { level: 'may', ca },
      enforce,
      misnamed,
      `4.7.5 ${WHO}: the certificate is not for mx.example.org`,
    ],
    [
      'enforced, an expired certificate',
      { level: 'may', ca },
      enforce,
      expired,
      `4.7.5 ${WHO}: the certificate is from nobody we trust`,
    ],
    [
      'enforced, STARTTLS stripped',
      { level: 'may', ca },
      enforce,
      undefined,
      '4.7.4 TLS is required, but mx.example.org[192.0.2.25]:25 does not offer it',
    ],
    [
      'enforced, over encrypt',
      { level: 'encrypt', ca },
      enforce,
      misnamed,
      `4.7.5 ${WHO}: the certificate is not for mx.example.org`,
    ],
    ['testing', { level: 'may', ca }, { ...enforce, mode: 'testing' }, stranger, 'delivered encrypted'],
    ['none', { level: 'may', ca }, { ...enforce, mode: 'none' }, undefined, 'delivered in clear text'],
    ['enforced, where the operator wants none', 'none', enforce, good, 'delivered in clear text'],
  ])('%s', async (_, tls, sts, server, expected) => {
    expect(await fare(tls, server, { sts })).toBe(expected)
  })

  it('DANE goes before it', async () => {
    const sts: StsPolicy = { mode: 'enforce', mx: ['other.example.org'] }
    expect(await fare('dane', misnamed, { sts, zones: zones([tlsa(3, 1, 1, misnamed.cert)]) })).toBe(
      'delivered encrypted',
    )
    expect(await fare({ level: 'dane', ca }, good, { sts, zones: zones('none') })).toBe(
      '4.7.5 the MTA-STS policy of example.org does not name mx.example.org',
    )
  })

  it('is not asked for where the operator names the host', async () => {
    const asked: string[] = []
    const { deliver, end } = await world({
      nextHop: '[mx.example.org]',
      mtaSts: {
        find: (domain) => {
          asked.push(domain)
          return undefined
        },
      },
    })
    expect(summary(await deliver())[0]).toMatch(/^ok/)
    expect(asked).toEqual([])
    await end()
  })
})

/** A server that shows its issuer's certificate as well. */
function withIssuer(certificate: Certificate): Certificate {
  return { ...certificate, cert: `${certificate.cert}\n${authority.ca}` }
}
