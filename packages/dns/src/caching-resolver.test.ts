import type { Call, DnsAnswer, RecordType, RecordTypes, Resolver } from '@mailwright/core'
import { manualClock } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { type CachingResolverOptions, cachingResolver } from './caching-resolver.ts'

type Answer = DnsAnswer<string>

const call: Call = { signal: new AbortController().signal }
const found = (address: string, ttlMs = 60_000): Answer => ({
  status: 'found',
  records: [address],
  ttlMs,
  secure: true,
})
const noName = (ttlMs: number): Answer => ({ status: 'none', reason: 'no-name', ttlMs, secure: false })
const failed: Answer = { status: 'failed', cause: 'ESERVFAIL' }

/** A resolver that answers when the test says so, and remembers what it was asked. */
function inner() {
  const asked: { name: string; type: RecordType; signal: AbortSignal }[] = []
  const waiting: ((answer: Answer | Error) => void)[] = []
  const prepared: (Answer | Error)[] = []
  const resolver: Resolver = {
    resolve<T extends RecordType>(name: string, type: T, { signal }: Call) {
      asked.push({ name, type, signal })
      return new Promise<DnsAnswer<RecordTypes[T]>>((resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason))
        const settle = (answer: Answer | Error): void =>
          answer instanceof Error ? reject(answer) : resolve(answer as DnsAnswer<RecordTypes[T]>)
        const answer = prepared.shift()
        if (answer === undefined) waiting.push(settle)
        else settle(answer)
      })
    },
  }
  return { resolver, asked, waiting, prepared }
}

function setup(options: Partial<CachingResolverOptions> = {}) {
  const upstream = inner()
  const clock = manualClock()
  const dns = cachingResolver({ inner: upstream.resolver, clock, ...options })
  const ask = (answer?: Answer | Error, name = 'mx.example.org'): Promise<Answer> => {
    if (answer !== undefined) upstream.prepared.push(answer)
    return Promise.resolve(dns.resolve(name, 'A', call))
  }
  return { ...upstream, clock, dns, ask }
}

describe('an answer', () => {
  it('is kept for its TTL, and tells the time it has left', async () => {
    const { ask, asked, clock, dns } = setup()
    await ask(found('192.0.2.1'))
    await clock.advance('20s')
    expect(dns.resolve('MX.example.org', 'A', call)).toEqual(found('192.0.2.1', 40_000))
    await clock.advance('40s')
    expect(await ask(found('192.0.2.2'))).toEqual(found('192.0.2.2'))
    expect(asked.map(({ name, type }) => `${type} ${name}`)).toEqual(['A mx.example.org', 'A mx.example.org'])
  })

  it('is kept neither longer nor shorter than the limits', async () => {
    const { ask, asked, clock } = setup({ minTtl: '10s', maxTtl: '1m' })
    expect(await ask(found('192.0.2.1', 86_400_000))).toMatchObject({ ttlMs: 60_000 })
    expect(await ask(found('192.0.2.2', 0), 'other.example')).toMatchObject({ ttlMs: 10_000 })
    await clock.advance('9s')
    await ask(undefined, 'other.example')
    expect(asked).toHaveLength(2)
  })

  it('is kept by type', async () => {
    const { ask, asked, dns } = setup()
    await ask(found('192.0.2.1'))
    void dns.resolve('mx.example.org', 'AAAA', call)
    expect(asked.map((question) => question.type)).toEqual(['A', 'AAAA'])
  })

  it('without records is kept for its TTL, at most for negativeTtl', async () => {
    const { ask, asked, clock } = setup()
    expect(await ask(noName(30_000))).toEqual(noName(30_000))
    await clock.advance('29s')
    expect(await ask()).toEqual(noName(1_000))
    expect(await ask(noName(3_600_000), 'other.example')).toEqual(noName(300_000))
    expect(asked).toHaveLength(2)
  })

  it('makes room by leaving out the one longest unused', async () => {
    const { ask, asked } = setup({ maxEntries: 2 })
    await ask(found('192.0.2.1'), 'a.example')
    await ask(found('192.0.2.2'), 'b.example')
    await ask(undefined, 'a.example')
    await ask(found('192.0.2.3'), 'c.example')
    await ask(undefined, 'a.example')
    expect(asked).toHaveLength(3)
    await ask(found('192.0.2.2'), 'b.example')
    expect(asked).toHaveLength(4)
  })
})

describe('a failure', () => {
  it('is kept briefly', async () => {
    const { ask, asked, clock } = setup()
    expect(await ask(failed)).toBe(failed)
    await clock.advance('4s')
    expect(await ask()).toBe(failed)
    await clock.advance('1s')
    expect(await ask(found('192.0.2.1'))).toMatchObject({ status: 'found' })
    expect(asked).toHaveLength(2)
  })

  it('that is thrown is a failure like any other', async () => {
    const { ask } = setup()
    expect(await ask(new Error('broken'))).toEqual({ status: 'failed', cause: 'Error: broken' })
  })

  it('of a refresh lets the stale answer be used, and the next try wait', async () => {
    const { ask, asked, clock } = setup()
    await ask(found('192.0.2.1'))
    await clock.advance('2m')
    expect(await ask(failed)).toEqual(found('192.0.2.1', 5_000))
    await clock.advance('4s')
    expect(await ask()).toEqual(found('192.0.2.1', 1_000))
    expect(asked).toHaveLength(2)
    await clock.advance('1s')
    expect(await ask(found('192.0.2.2'))).toEqual(found('192.0.2.2'))
  })

  it('of refreshes for longer than staleFor is told', async () => {
    const { ask, clock } = setup({ staleFor: '10m' })
    await ask(found('192.0.2.1'))
    await clock.advance('10m')
    expect(await ask(failed)).toMatchObject({ status: 'found' })
    await clock.advance('1m')
    expect(await ask(failed)).toBe(failed)
  })

  it('does not revive an old "no such name"', async () => {
    const { ask, clock } = setup()
    await ask(noName(10_000))
    await clock.advance('11s')
    expect(await ask(failed)).toBe(failed)
  })
})

describe('one look-up', () => {
  it('serves all who ask at the same time', async () => {
    const { ask, asked, waiting } = setup()
    const all = [ask(), ask(), ask()]
    expect(asked).toHaveLength(1)
    waiting[0]!(found('192.0.2.1'))
    expect(await Promise.all(all)).toEqual([found('192.0.2.1'), found('192.0.2.1'), found('192.0.2.1')])
  })

  it('goes on for the others when one gives up', async () => {
    const { ask, asked, dns, waiting } = setup()
    const impatient = new AbortController()
    const first = dns.resolve('mx.example.org', 'A', { signal: impatient.signal })
    const second = ask()
    impatient.abort(new Error('client left'))
    await expect(first).rejects.toThrow('client left')
    expect(asked[0]!.signal.aborted).toBe(false)
    waiting[0]!(found('192.0.2.1'))
    expect(await second).toEqual(found('192.0.2.1'))
  })

  it('ends when nobody waits any more, and the next to ask begins anew', async () => {
    const { ask, asked, clock, dns } = setup()
    const impatient = new AbortController()
    const first = dns.resolve('mx.example.org', 'A', { signal: impatient.signal })
    impatient.abort(new Error('client left'))
    const second = ask(found('192.0.2.2'))
    await expect(first).rejects.toThrow('client left')
    expect(asked[0]!.signal.aborted).toBe(true)
    expect(await second).toEqual(found('192.0.2.2'))
    await clock.settle()
    expect(await ask()).toEqual(found('192.0.2.2'))
    expect(asked).toHaveLength(2)
  })

  it('is not begun for a caller who has given up already', async () => {
    const { asked, dns } = setup()
    await expect(dns.resolve('mx.example.org', 'A', { signal: AbortSignal.abort(new Error('gone')) })).rejects.toThrow(
      'gone',
    )
    expect(asked).toEqual([])
  })
})

it('a cache of no size is refused', () => {
  expect(() => setup({ maxEntries: 0 })).toThrow(expect.objectContaining({ code: 'ERR_MAILWRIGHT_CONFIG' }))
})
