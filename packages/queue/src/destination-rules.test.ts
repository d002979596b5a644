import { describe, expect, it } from 'vitest'
import { type ConcurrencyTable, type DestinationRules, destinationRules } from './destination-rules.ts'

const USUAL: DestinationRules = {
  initial: 5,
  limit: 20,
  failedCohortLimit: 1,
  recipientLimit: 50,
  rateDelayMs: 0,
  transportRateDelayMs: 0,
}

function rules(table: ConcurrencyTable | undefined, failures: unknown[] = []): (lane: string) => DestinationRules {
  return destinationRules(table, USUAL, (error) => failures.push(error))
}

describe('the rules of a destination', () => {
  it('are the usual ones where nothing is said, and cost nothing', () => {
    expect(rules(undefined)('smtp:example.com')).toBe(USUAL)
    expect(rules({ lmtp: { limit: 2 } })('smtp:example.com')).toBe(USUAL)
  })

  it('are those of its transport, and before these its own, whatever order they are written in', () => {
    const of = rules({ 'smtp:big.example': { limit: 40 }, smtp: { initial: 2, limit: 10 } })
    expect(of('smtp:example.com')).toMatchObject({ initial: 2, limit: 10, recipientLimit: 50 })
    expect(of('smtp:big.example')).toMatchObject({ initial: 2, limit: 40 })
  })

  it('are the same for all its lines', () => {
    const of = rules({ 'smtp:big.example': { recipientLimit: 5 } })
    expect(of('smtp/sale:big.example').recipientLimit).toBe(5)
  })

  it('may come from a function of its lane, asked without the stream', () => {
    const of = rules(({ destination, stream }) =>
      destination === 'slow.example' && stream === undefined ? { limit: 1, failedCohortLimit: 0 } : undefined,
    )
    expect(of('smtp/sale:slow.example')).toMatchObject({ initial: 1, limit: 1, failedCohortLimit: 0 })
    expect(of('smtp:fast.example')).toBe(USUAL)
  })

  it('are the usual ones where that function fails, and somebody is told', () => {
    const failures: unknown[] = []
    const of = rules(({ destination }) => {
      if (destination === 'a.example') throw new Error('a bug')
      return { limit: -1 }
    }, failures)
    expect([of('smtp:a.example'), of('smtp:b.example')]).toEqual([USUAL, USUAL])
    expect(failures).toHaveLength(2)
  })

  it('allow one attempt at a time where there is a pause between them', () => {
    expect(rules({ smtp: { limit: 10, rateDelay: '5s' } })('smtp:a')).toMatchObject({
      initial: 1,
      limit: 1,
      rateDelayMs: 5_000,
    })
    expect(rules({ lmtp: { transportRateDelay: 100 } })('lmtp:a').transportRateDelayMs).toBe(100)
  })

  it.each([
    [1, { step: 1, per: 'attempt' }],
    [0.5, { step: 0.5, per: 'attempt' }],
    ['1/N', { step: 1, per: 'window' }],
    ['0.25/sqrt(N)', { step: 0.25, per: 'root' }],
  ] as const)('say with %s how far an attempt moves the window', (option, feedback) => {
    const said = rules({ smtp: { positive: option, negative: option } })('smtp:a')
    expect([said.positive, said.negative]).toEqual([feedback, feedback])
  })

  it.each([
    { limit: 0 },
    { limit: Number.NaN },
    { initial: 0 },
    { recipientLimit: 0 },
    { failedCohortLimit: -1 },
    { positive: -1 },
    { positive: 'x' as '1/N' },
    { negative: '1e9/N' as '1/N' },
    { rateDelay: 'soon' as '1s' },
  ])('are refused at start when they are %j', (said) => {
    expect(() => rules({ smtp: said })).toThrow()
  })
})
