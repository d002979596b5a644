import { describe, expect, it } from 'vitest'
import { systemResolver } from './system-resolver.ts'

const call = { signal: new AbortController().signal }

describe('the system resolver', () => {
  it('answers for localhost by itself', async () => {
    const resolver = systemResolver()
    expect(await resolver.resolve('localhost', 'A', call)).toMatchObject({ status: 'found', records: ['127.0.0.1'] })
    expect(await resolver.resolve('mx.localhost', 'AAAA', call)).toMatchObject({ records: ['::1'] })
  })

  it('gives a failure as a value, and rejects only when the caller gives up', async () => {
    const resolver = systemResolver()
    expect(['failed', 'none']).toContain((await resolver.resolve('no such name', 'MX', call)).status)
    await expect(resolver.resolve('example.org', 'A', { signal: AbortSignal.abort() })).rejects.toThrow()
  })
})
