import { manualClock, seededRandom } from '@mailwright/testing'
import type { Answer } from 'dns-packet'
import { decode } from 'dns-packet'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Exchange } from './name-server.ts'
import { type StubResolverOptions, stubResolver } from './stub-resolver.ts'
import { answer, type FakeNameServer, fakeNameServer, type Said } from './test-support/name-server.ts'

const call = { signal: new AbortController().signal }
const random = seededRandom(1)
/** Real sockets take real time: no time-out of a test's own clock may cut them off. */
const clock = manualClock()

type Say = Parameters<typeof fakeNameServer>[0]

async function server(say: Say): Promise<FakeNameServer> {
  const started = await fakeNameServer(say)
  onTestFinished(() => started.close())
  return started
}

async function resolver(say: Say, options: Partial<StubResolverOptions> = {}) {
  const { address } = await server(say)
  return stubResolver({ servers: [address], clock, random, ...options })
}

const mx: Answer = { type: 'MX', name: 'example.org', ttl: 600, data: { preference: 10, exchange: 'MX.Example.org' } }
const soa: Answer = {
  type: 'SOA',
  name: 'example.org',
  ttl: 900,
  data: { mname: 'ns.example.org', rname: 'root.example.org', minimum: 120 },
}

describe('what a name server says', () => {
  it.each<[string, Answer, unknown]>([
    ['A', { type: 'A', name: 'x.example', ttl: 60, data: '192.0.2.1' }, '192.0.2.1'],
    ['AAAA', { type: 'AAAA', name: 'x.example', ttl: 60, data: '2001:db8::1' }, '2001:db8::1'],
    [
      'MX',
      { type: 'MX', name: 'x.example', ttl: 60, data: { preference: 5, exchange: 'Mx.Example' } },
      { preference: 5, exchange: 'mx.example' },
    ],
    [
      'MX',
      { type: 'MX', name: 'x.example', ttl: 60, data: { preference: 0, exchange: '.' } },
      { preference: 0, exchange: '' },
    ],
    ['TXT', { type: 'TXT', name: 'x.example', ttl: 60, data: ['v=spf1 ', '-all'] }, ['v=spf1 ', '-all']],
    ['PTR', { type: 'PTR', name: 'x.example', ttl: 60, data: 'Host.Example' }, 'host.example'],
    ['NS', { type: 'NS', name: 'x.example', ttl: 60, data: 'ns.example' }, 'ns.example'],
    ['CNAME', { type: 'CNAME', name: 'x.example', ttl: 60, data: 'y.example' }, 'y.example'],
    [
      'TLSA',
      {
        type: 'TLSA',
        name: 'x.example',
        ttl: 60,
        data: { usage: 3, selector: 1, matchingType: 1, certificate: Buffer.from('abcd', 'hex') },
      },
      { usage: 3, selector: 1, matching: 1, data: new Uint8Array([0xab, 0xcd]) },
    ],
  ])('a record of type %s is read', async (type, record, expected) => {
    const dns = await resolver(() => ({ answers: [record] }))
    expect(await dns.resolve('X.example.', type as 'A', call)).toEqual({
      status: 'found',
      records: [expected],
      ttlMs: 60_000,
      secure: false,
    })
  })

  it('aliases are followed to their end, and the shortest TTL counts', async () => {
    const dns = await resolver(() => ({
      answers: [
        { type: 'CNAME', name: 'mail.example', ttl: 30, data: 'Other.example' },
        { type: 'A', name: 'stranger.example', ttl: 5, data: '192.0.2.66' },
        { type: 'A', name: 'other.example', ttl: 60, data: '192.0.2.1' },
      ],
    }))
    expect(await dns.resolve('mail.example', 'A', call)).toMatchObject({ records: ['192.0.2.1'], ttlMs: 30_000 })
  })

  it('aliases that lead in a circle are a failure', async () => {
    const dns = await resolver(() => ({ answers: [{ type: 'CNAME', name: 'a.example', ttl: 30, data: 'a.example' }] }))
    expect(await dns.resolve('a.example', 'A', call)).toMatchObject({ status: 'failed' })
  })

  it.each([
    [0, 'no-data'],
    [3, 'no-name'],
  ] as const)('code %i without records is %s, for as long as the zone says', async (rcode, reason) => {
    const dns = await resolver(() => ({ rcode, authorities: [soa] }))
    expect(await dns.resolve('example.org', 'MX', call)).toEqual({
      status: 'none',
      reason,
      ttlMs: 120_000,
      secure: false,
    })
  })

  it('SERVFAIL is a failure: nothing is known', async () => {
    const dns = await resolver(() => ({ rcode: 2 }))
    expect(await dns.resolve('example.org', 'MX', call)).toEqual({ status: 'failed', cause: 'SERVFAIL' })
  })

  it('an answer too long for a datagram is asked for again by TCP', async () => {
    const { address, asked } = await server((_type, _name, way) =>
      way === 'udp' ? { truncated: true } : { answers: [mx] },
    )
    const dns = stubResolver({ servers: [address], clock, random })
    expect(await dns.resolve('example.org', 'MX', call)).toMatchObject({
      records: [{ preference: 10, exchange: 'mx.example.org' }],
    })
    expect(asked).toEqual(['udp MX example.org', 'tcp MX example.org'])
  })

  it('a server that hangs up a TCP connection has failed', async () => {
    const dns = await resolver((_type, _name, way) => (way === 'udp' ? { truncated: true } : undefined))
    expect(await dns.resolve('example.org', 'MX', call)).toMatchObject({ status: 'failed' })
  })
})

describe('DNSSEC', () => {
  const secure = (): Said => ({ answers: [mx], secure: true })

  it.each([
    ['loopback', true],
    ['all', true],
    ['none', false],
  ] as const)('of a server on the loopback the word counts with trust %s: %s', async (trust, expected) => {
    const dns = await resolver(secure, { trust })
    expect(await dns.resolve('example.org', 'MX', call)).toMatchObject({ secure: expected })
  })

  it.each([
    ['192.0.2.53', 'loopback', false],
    ['192.0.2.53', 'all', true],
    ['::1', 'loopback', true],
    ['2001:db8::53', 'loopback', false],
  ] as const)('of %s with trust %s: %s', async (host, trust, expected) => {
    const exchange: Exchange = async (_server, question, _way, receive) => {
      receive(answer(decode(Buffer.from(question)), { answers: [mx], secure: true }))
    }
    const dns = stubResolver({ servers: [host], clock, random, trust, exchange })
    expect(await dns.resolve('example.org', 'MX', call)).toMatchObject({ secure: expected })
  })

  it('is asked for in every question', async () => {
    let asked: { readonly flag_ad: boolean; readonly flag_rd: boolean } | undefined
    const dns = await resolver((_type, _name, _way, question) => {
      asked = question
      return { answers: [mx] }
    })
    await dns.resolve('example.org', 'MX', call)
    expect(asked).toMatchObject({ flag_ad: true, flag_rd: true })
  })
})

describe('what is no answer', () => {
  it('guesses with a wrong id or another name, and garbage, are passed over', async () => {
    const dns = await resolver((_type, _name, _way, question) => ({
      answers: [mx],
      before: [
        Buffer.from('garbage'),
        answer({ ...question, id: question.id! ^ 1 }, { rcode: 3 }),
        answer({ ...question, questions: [{ type: 'MX', name: 'evil.example' }] }, { rcode: 3 }),
        answer({ ...question, questions: [{ type: 'A', name: 'example.org' }] }, { rcode: 3 }),
      ],
    }))
    expect(await dns.resolve('example.org', 'MX', call)).toMatchObject({ status: 'found' })
  })

  it('a server that says nothing is given up in time, and the next is asked, round after round', async () => {
    const time = manualClock()
    const asked: string[] = []
    const exchange: Exchange = ({ host }, _question, _way, _receive, { signal }) => {
      asked.push(host)
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    }
    const dns = stubResolver({ servers: ['192.0.2.1', '192.0.2.2'], clock: time, random, exchange, deadline: '5s' })
    const answered = dns.resolve('example.org', 'MX', call)
    await time.advance(10_000)
    expect(await answered).toEqual({ status: 'failed', cause: 'no answer within 1000 ms' })
    expect(asked).toEqual(['192.0.2.1', '192.0.2.2', '192.0.2.1'])
  })

  it('a server that cannot be reached is passed over for the next', async () => {
    const { address } = await server(() => ({ answers: [mx] }))
    const closed = await fakeNameServer(() => undefined)
    await closed.close()
    const dns = stubResolver({ servers: [closed.address, address], clock, random })
    expect(await dns.resolve('example.org', 'MX', call)).toMatchObject({ status: 'found' })
  })

  it('a caller that gives up is told at once, and the socket is closed', async () => {
    const controller = new AbortController()
    const dns = await resolver(() => {
      controller.abort(new Error('gone'))
      return undefined
    })
    await expect(dns.resolve('example.org', 'MX', controller)).rejects.toThrow('gone')
    await expect(dns.resolve('example.org', 'MX', controller)).rejects.toThrow('gone')
  })
})

describe('names nobody is asked for', () => {
  const silent = stubResolver({
    servers: ['192.0.2.1'],
    clock,
    random,
    exchange: () => Promise.reject(new Error('asked')),
  })

  it.each([
    ['localhost', 'A', '127.0.0.1'],
    ['mail.localhost', 'AAAA', '::1'],
  ] as const)('%s is here', async (name, type, address) => {
    expect(await silent.resolve(name, type, call)).toMatchObject({ status: 'found', records: [address] })
  })

  it.each(['', 'a..b', `${'a'.repeat(64)}.example`, `${'a.'.repeat(130)}example`, 'a b.example', 'a\nb.example'])(
    '%j is no name',
    async (name) => {
      expect(await silent.resolve(name, 'MX', call)).toMatchObject({ status: 'none', reason: 'no-name' })
    },
  )
})

it.each(['', 'ns.example.org', '192.0.2.1:0', '192.0.2.1:66000', '[192.0.2.1', '::1:53:x'])(
  '%j is no name server',
  (text) => {
    expect(() => stubResolver({ servers: [text], clock, random })).toThrow(/name server/)
  },
)

it('a resolver needs a server', () => {
  expect(() => stubResolver({ servers: [], clock, random })).toThrow('needs a name server')
})
