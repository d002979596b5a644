import { fakeDns, manualClock, type Zones } from '@mailwright/testing'
import { expect, it } from 'vitest'
import { type FetchPolicy, type KnownPolicy, type MtaStsOptions, mtaSts } from './mta-sts.ts'

const call = { signal: new AbortController().signal }
const ENFORCED: KnownPolicy = { id: '1', mode: 'enforce', mx: ['mx.example.org'], expires: '2027-01-01T00:00:00Z' }

interface Asked {
  readonly domain: string
  readonly known: KnownPolicy | undefined
}

function policies(answer: (asked: Asked) => Promise<KnownPolicy> | KnownPolicy, more: Partial<MtaStsOptions> = {}) {
  const clock = manualClock()
  const asked: Asked[] = []
  const fetchPolicy: FetchPolicy = async (domain, known) => {
    asked.push({ domain, known })
    return answer({ domain, known })
  }
  const sts = mtaSts({ dns: fakeDns({}), clock, fetchPolicy, ...more })
  return { sts, clock, asked }
}

it('a policy is used for a while, and then asked about again with what is known', async () => {
  const { sts, clock, asked } = policies(() => ENFORCED)
  expect(await sts.find('example.org', call)).toEqual({ mode: 'enforce', mx: ['mx.example.org'] })
  await clock.advance('4m')
  expect(sts.find('example.org', call)).toEqual({ mode: 'enforce', mx: ['mx.example.org'] })
  expect(asked).toEqual([{ domain: 'example.org', known: undefined }])
  await clock.advance('2m')
  await sts.find('example.org', call)
  expect(asked[1]).toEqual({ domain: 'example.org', known: ENFORCED })
})

it('a domain without a policy is not asked about for every message', async () => {
  const { sts, asked } = policies(() => ({ id: false, mode: 'none' }))
  expect(await sts.find('example.org', call)).toBeUndefined()
  expect(await sts.find('example.org', call)).toBeUndefined()
  expect(asked).toHaveLength(1)
})

it('callers at the same time share one look-up, and one that gives up leaves it to the others', async () => {
  let answer: (known: KnownPolicy) => void = () => {}
  const { sts, asked } = policies(() => new Promise((resolve) => (answer = resolve)))
  const controller = new AbortController()
  const [one, other] = [sts.find('example.org', controller), sts.find('example.org', call)]
  controller.abort(new Error('gone'))
  await expect(one).rejects.toThrow('gone')
  await expect(sts.find('example.org', controller)).rejects.toThrow('gone')
  answer(ENFORCED)
  expect(await other).toMatchObject({ mode: 'enforce' })
  expect(asked).toHaveLength(1)
})

it('what goes wrong leaves what was known, or nothing', async () => {
  let broken = false
  const { sts, clock } = policies(() => (broken ? Promise.reject(new Error('bug')) : ENFORCED))
  await sts.find('example.org', call)
  broken = true
  await clock.advance('1h')
  expect(await sts.find('example.org', call)).toMatchObject({ mode: 'enforce' })
  expect(await sts.find('example.net', call)).toBeUndefined()
})

it('no more domains are remembered than wanted; the one longest unused goes first', async () => {
  const { sts, asked } = policies(() => ENFORCED, { maxDomains: 2 })
  for (const domain of ['a.example', 'b.example', 'a.example', 'c.example', 'a.example', 'b.example'])
    await sts.find(domain, call)
  expect(asked.map(({ domain }) => domain)).toEqual(['a.example', 'b.example', 'c.example', 'b.example'])
})

it.each<[string, Zones]>([
  ['has no record', { '_mta-sts.example.org': 'no-name' }],
  ['has another record', { '_mta-sts.example.org': { TXT: ['v=spf1 -all'] } }],
  ['has two', { '_mta-sts.example.org': { TXT: ['v=STSv1; id=1;', 'v=STSv1; id=2;'] } }],
  ['has DNS that does not answer', { '_mta-sts.example.org': 'failed' }],
  [
    'has no host for its policy',
    { '_mta-sts.example.org': { TXT: [['v=STSv1; ', 'id=1;']] }, 'mta-sts.example.org': 'no-name' },
  ],
])('by mailauth, a domain that %s has no policy', async (_, zones) => {
  const dns = fakeDns(zones)
  const sts = mtaSts({ dns, clock: manualClock() })
  expect(await sts.find('example.org', call)).toBeUndefined()
  expect(dns.unexpected).toEqual([])
})
