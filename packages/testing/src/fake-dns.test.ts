import { expect, it } from 'vitest'
import { fakeDns } from './fake-dns.ts'
import { manualClock } from './manual-clock.ts'

const call = { signal: new AbortController().signal }

const zones = {
  'example.org': { MX: [[10, 'MX.example.org.']], A: ['192.0.2.10'], TXT: ['v=spf1 -all', ['a', 'b']], secure: true },
  'null.example': { MX: [[0, '']], ttl: '1m' },
  'www.example.org': { CNAME: ['example.org'] },
  'loop.example': { CNAME: ['loop.example'] },
  'gone.example': 'no-name',
  'broken.example': 'failed',
  'half.example': { A: ['192.0.2.1'], failing: ['MX'] },
  '*.hosts.example': { A: ['192.0.2.77'] },
} as const

it('answers what was written, without regard to case or a final dot', async () => {
  const dns = fakeDns(zones)
  expect(await dns.resolve('Example.ORG.', 'MX', call)).toEqual({
    status: 'found',
    records: [{ preference: 10, exchange: 'mx.example.org' }],
    ttlMs: 300_000,
    secure: true,
  })
  expect(await dns.resolve('example.org', 'TXT', call)).toMatchObject({ records: [['v=spf1 -all'], ['a', 'b']] })
  expect(await dns.resolve('null.example', 'MX', call)).toMatchObject({
    records: [{ preference: 0, exchange: '' }],
    ttlMs: 60_000,
    secure: false,
  })
})

it('tells a name without such records from a name that does not exist and from a failure', async () => {
  const dns = fakeDns(zones)
  expect(await dns.resolve('example.org', 'AAAA', call)).toMatchObject({ status: 'none', reason: 'no-data' })
  expect(await dns.resolve('gone.example', 'MX', call)).toMatchObject({ status: 'none', reason: 'no-name' })
  expect(await dns.resolve('broken.example', 'MX', call)).toMatchObject({ status: 'failed' })
  expect(await dns.resolve('half.example', 'MX', call)).toMatchObject({ status: 'failed' })
  expect(await dns.resolve('half.example', 'A', call)).toMatchObject({ status: 'found' })
  dns.assertQuiet()
})

it('follows aliases and ends in a loop of them', async () => {
  const dns = fakeDns(zones)
  expect(await dns.resolve('www.example.org', 'A', call)).toMatchObject({ records: ['192.0.2.10'] })
  expect(await dns.resolve('www.example.org', 'CNAME', call)).toMatchObject({ records: ['example.org'] })
  expect(await dns.resolve('loop.example', 'A', call)).toEqual({ status: 'failed', cause: 'CNAME loop' })
})

it('a wildcard stands for the names below it', async () => {
  const dns = fakeDns(zones)
  expect(await dns.resolve('a.b.hosts.example', 'A', call)).toMatchObject({ records: ['192.0.2.77'] })
  expect(await dns.resolve('hosts.example', 'A', call)).toMatchObject({ status: 'failed' })
})

it('a question nobody expected fails and is named at the end', async () => {
  const dns = fakeDns(zones)
  expect(await dns.resolve('stranger.example', 'MX', call)).toMatchObject({ status: 'failed' })
  expect(dns.unexpected).toEqual([{ name: 'stranger.example', type: 'MX' }])
  expect(() => dns.assertQuiet()).toThrow('unexpected DNS questions: MX of stranger.example')
})

it('fails on request, recovers, and can change', async () => {
  const dns = fakeDns(zones)
  dns.fail('example.org', 'timeout')
  expect(await dns.resolve('example.org', 'MX', call)).toEqual({ status: 'failed', cause: 'timeout' })
  dns.recover('example.org')
  expect(await dns.resolve('example.org', 'MX', call)).toMatchObject({ status: 'found' })
  dns.set('example.org', 'no-name')
  expect(await dns.resolve('example.org', 'MX', call)).toMatchObject({ status: 'none' })
  expect(dns.questions).toHaveLength(3)
})

it('answers late on the clock, and gives up when nobody waits', async () => {
  const clock = manualClock(0)
  const dns = fakeDns(zones, { clock })
  dns.delay('example.org', '5s')
  expect(await clock.until(Promise.resolve(dns.resolve('example.org', 'A', call)))).toMatchObject({ status: 'found' })
  expect(clock.now()).toBe(5_000)
  const patience = new AbortController()
  const waiting = dns.resolve('example.org', 'A', { signal: patience.signal })
  patience.abort(new Error('gone'))
  await expect(waiting).rejects.toThrow('gone')
  await expect(dns.resolve('example.org', 'A', { signal: patience.signal })).rejects.toThrow('gone')
  expect(() => fakeDns().delay('example.org', 1)).toThrow('clock')
})
