import type { Zones } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import type { SmtpTransportOptions } from './options.ts'
import type { ServerOptions } from './testing-support/scripted-server.ts'
import { job, summary, world } from './testing-support/world.ts'

/** Delivers one message with these zones; the server is at 192.0.2.25. */
async function attempt(
  zones: Zones,
  options: Partial<SmtpTransportOptions> = {},
  destination?: string,
  server: ServerOptions = {},
): Promise<{ line: string; tried: string[]; messages: number }> {
  const { deliver, environment, server: scripted, end } = await world(options, server, { zones })
  const line = summary(await deliver(destination === undefined ? job() : job({ destination })))[0]!
  const tried = environment.net.attempts.map(({ to }) => `${to.host}:${to.port}`)
  await end()
  return { line, tried, messages: scripted.messages.length }
}

describe('a domain', () => {
  it.each<[string, Zones, string]>([
    ['does not exist', { 'example.org': 'no-name' }, 'failed 550 5.1.2 domain example.org does not exist'],
    ['has a null MX', { 'example.org': { MX: [[0, '']] } }, 'failed 556 5.1.10 domain example.org takes no mail'],
    ['cannot be looked up', { 'example.org': 'failed' }, 'deferred destination 451 4.4.3 no answer from DNS to the MX'],
    [
      'has an MX without an address',
      { 'example.org': { MX: [[1, 'a.example']] }, 'a.example': {} },
      'failed 550 5.4.4 mail exchanger a.example of example.org has no address',
    ],
    [
      'has an MX that cannot be looked up',
      { 'example.org': { MX: [[1, 'a.example']] }, 'a.example': 'failed' },
      'deferred destination 451 4.4.3 no answer from DNS to the address query for a.example',
    ],
    [
      'has one MX without an address and one unknown: unknown weighs more',
      {
        'example.org': {
          MX: [
            [1, 'a.example'],
            [2, 'b.example'],
            [3, 'c.example'],
          ],
        },
        'a.example': {},
        'b.example': 'failed',
        'c.example': 'no-name',
      },
      'deferred destination 451 4.4.3',
    ],
    ['has neither MX nor address', { 'example.org': {} }, 'failed 550 5.4.4'],
    [
      'has us as its best MX',
      {
        'example.org': {
          MX: [
            [10, 'Relay.Example.Net'],
            [20, 'mx.example.org'],
          ],
        },
      },
      'failed 554 5.4.6 mail for example.org loops back to myself',
    ],
    [
      'has an MX on the loopback',
      { 'example.org': { MX: [[10, 'mx.example.org']] }, 'mx.example.org': { A: ['127.0.0.1'] } },
      'failed 554 5.4.6',
    ],
  ])('that %s', async (_, zones, expected) => {
    const { line, tried } = await attempt(zones)
    expect(line.startsWith(expected), line).toBe(true)
    expect(tried).toEqual([])
  })

  it('without MX is its own exchanger', async () => {
    const { line, tried } = await attempt({ 'example.org': { A: ['192.0.2.25'] } })
    expect(line).toMatch(/^ok/)
    expect(tried).toEqual(['192.0.2.25:25'])
  })

  it('is tried at exchangers better than ourselves only', async () => {
    const { tried, line } = await attempt({
      'example.org': {
        MX: [
          [5, 'a.example'],
          [10, 'relay.example.net'],
          [20, 'mx.example.org'],
        ],
      },
      'a.example': { A: ['192.0.2.1'] },
    })
    expect(tried).toEqual(['192.0.2.1:25'])
    expect(line).toMatch(/^deferred destination 451 4\.4\.1 cannot connect to a\.example\[192\.0\.2\.1\]:25/)
  })

  it('is tried in order of preference, at all addresses, IPv4 first, and no further than needed', async () => {
    const { line, tried } = await attempt({
      'example.org': {
        MX: [
          [30, 'c.example'],
          [20, 'mx.example.org'],
          [10, 'a.example'],
        ],
      },
      'a.example': { A: ['192.0.2.1', '192.0.2.2'], AAAA: ['2001:db8::1'] },
      'mx.example.org': { A: ['192.0.2.25'] },
    })
    expect(line).toMatch(/^ok/)
    expect(tried).toEqual(['192.0.2.1:25', '192.0.2.2:25', '2001:db8::1:25', '192.0.2.25:25'])
  })

  it('is tried at IPv6 addresses first, or only, where the operator says so', async () => {
    const zones: Zones = {
      'example.org': { MX: [[10, 'a.example']] },
      'a.example': { A: ['192.0.2.1'], AAAA: ['2001:db8::1'] },
    }
    const first = await attempt(zones, { addressFamilies: 'ipv6-first' })
    expect(first.tried).toEqual(['2001:db8::1:25', '192.0.2.1:25'])
    expect((await attempt(zones, { addressFamilies: 'ipv6' })).tried).toEqual(['2001:db8::1:25'])
    expect((await attempt(zones, { addressFamilies: 'ipv4' })).tried).toEqual(['192.0.2.1:25'])
  })

  it('is tried at so many addresses and no more', async () => {
    const { tried } = await attempt(
      {
        'example.org': {
          MX: [
            [10, 'a.example'],
            [20, 'b.example'],
          ],
        },
        'a.example': { A: ['192.0.2.1', '192.0.2.2'] },
        'b.example': { A: ['192.0.2.3', '192.0.2.4'] },
      },
      { maxAddresses: 3 },
    )
    expect(tried).toHaveLength(3)
  })

  it('has its equal exchangers tried in random order', async () => {
    const zones: Zones = {
      'example.org': {
        MX: [
          [10, 'a.example'],
          [10, 'b.example'],
          [10, 'c.example'],
          [5, 'd.example'],
        ],
      },
      'a.example': { A: ['192.0.2.1'] },
      'b.example': { A: ['192.0.2.2'] },
      'c.example': { A: ['192.0.2.3'] },
      'd.example': { A: ['192.0.2.4'] },
    }
    const { environment, deliver, end } = await world({}, {}, { zones })
    const seconds = new Set<string>()
    for (let n = 0; n < 20; n++) {
      const before = environment.net.attempts.length
      await deliver()
      const tried = environment.net.attempts.slice(before).map(({ to }) => to.host)
      expect(tried[0]).toBe('192.0.2.4')
      expect(tried.toSorted()).toEqual(['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4'])
      seconds.add(tried[1]!)
    }
    expect(seconds.size).toBe(3)
    await end()
  })

  it('is tried at the next exchanger when one will not talk', async () => {
    const zones: Zones = {
      'example.org': {
        MX: [
          [10, 'a.example'],
          [20, 'b.example'],
        ],
      },
      'a.example': { A: ['192.0.2.25'] },
      'b.example': { A: ['192.0.2.25'] },
    }
    const { line, tried } = await attempt(zones, {}, undefined, {
      answer: (command, visit) => (command === '<greeting>' && visit.nth === 1 ? '554 5.7.1 no' : undefined),
    })
    expect(line).toMatch(/^ok .*b\.example/)
    expect(tried).toHaveLength(2)
  })

  it('is given up for now after so many hosts that will not talk', async () => {
    const { line, tried } = await attempt(
      { 'example.org': { MX: [[10, 'a.example']] }, 'a.example': { A: Array(4).fill('192.0.2.25') } },
      { maxSessions: 2 },
      undefined,
      { answer: (command) => (command === '<greeting>' ? '554 5.7.1 no' : undefined) },
    )
    expect(line).toMatch(/^deferred destination 451 4\.0\.0/)
    expect(tried).toHaveLength(2)
  })

  it('whose exchanger does not answer at all is given up after the connect time-out', async () => {
    const { deliver, environment, end } = await world(
      { connectTimeout: '30s' },
      {},
      { network: { faults: () => ({ blackhole: true }) } },
    )
    const start = environment.clock.now()
    expect(summary(await deliver())[0]).toMatch(/^deferred destination 451 4\.4\.1/)
    expect(environment.clock.now() - start).toBe(30_000)
    await end()
  })
})

describe('a next hop', () => {
  it('set by the operator is used whatever the lane says', async () => {
    const { line, tried } = await attempt({}, { nextHop: '[192.0.2.25]' }, 'example.com')
    expect(line).toMatch(/^ok/)
    expect(tried).toEqual(['192.0.2.25:25'])
  })

  it('in brackets needs no MX, and may be on the loopback', async () => {
    const zones: Zones = { 'hub.example': { A: ['127.0.0.1'] } }
    const { line, tried } = await attempt(zones, {}, '[hub.example]:2525', { host: '127.0.0.1', port: 2525 })
    expect(line).toMatch(/^ok/)
    expect(tried).toEqual(['127.0.0.1:2525'])
  })

  it('that does not exist is the operator’s mistake, and costs no mail', async () => {
    expect((await attempt({ 'hub.example': 'no-name' }, {}, '[hub.example]')).line).toMatch(
      /^deferred destination 451 4\.4\.4/,
    )
  })

  it('that is no name at all fails', async () => {
    expect((await attempt({}, {}, 'no domain')).line).toBe('failed 550 5.1.2 the domain is no host name')
  })
})
