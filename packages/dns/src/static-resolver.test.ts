import type { Call, RecordType } from '@mailwright/core'
import { describe, expect, it } from 'vitest'
import { staticResolver } from './static-resolver.ts'

const call: Call = { signal: new AbortController().signal }
const dns = staticResolver(
  {
    'Example.org': { MX: [{ preference: 10, exchange: 'mx.example.org' }], TXT: [['v=spf1', ' -all']] },
    'mx.example.org': { A: ['192.0.2.1'] },
    'mail.example.org': { CNAME: ['mx.example.org'] },
    'away.example.org': { CNAME: ['mx.example.net'] },
    'loop.example': { CNAME: ['loop.example'] },
    'deep.below.example': { A: ['192.0.2.2'] },
  },
  { ttl: '1m', secure: true },
)
const ask = (name: string, type: RecordType) => dns.resolve(name, type, call)

describe('a table of names', () => {
  it('answers with the records of a name, in any case', () => {
    expect(ask('EXAMPLE.ORG', 'MX')).toEqual({
      status: 'found',
      records: [{ preference: 10, exchange: 'mx.example.org' }],
      ttlMs: 60_000,
      secure: true,
    })
  })

  it('tells a name without such records from no name at all', () => {
    expect(ask('example.org', 'A')).toMatchObject({ status: 'none', reason: 'no-data' })
    expect(ask('below.example', 'A')).toMatchObject({ status: 'none', reason: 'no-data' })
    expect(ask('nowhere.example', 'A')).toMatchObject({ status: 'none', reason: 'no-name' })
    expect(ask('constructor', 'A')).toMatchObject({ status: 'none', reason: 'no-name' })
  })

  it('follows CNAME, but not for ever', () => {
    expect(ask('mail.example.org', 'A')).toMatchObject({ status: 'found', records: ['192.0.2.1'] })
    expect(ask('mail.example.org', 'CNAME')).toMatchObject({ status: 'found', records: ['mx.example.org'] })
    expect(ask('loop.example', 'A')).toMatchObject({ status: 'failed' })
  })

  it('leaves other names to another resolver', async () => {
    const otherwise = staticResolver({ 'mx.example.net': { A: ['198.51.100.1'] } })
    const both = staticResolver({ 'away.example.org': { CNAME: ['mx.example.net'] } }, { otherwise })
    expect(await both.resolve('away.example.org', 'A', call)).toMatchObject({ records: ['198.51.100.1'] })
    expect(await both.resolve('away.example.org', 'AAAA', call)).toMatchObject({ reason: 'no-data' })
    expect(ask('away.example.org', 'A')).toMatchObject({ status: 'none', reason: 'no-name' })
  })
})
