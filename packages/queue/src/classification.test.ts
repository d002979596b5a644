import { deferred, failed } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { type Reactions, type ResponseRule, responseReader } from './classification.ts'

function reader(table: readonly ResponseRule[], reactions: Reactions = {}) {
  return responseReader(table, reactions, () => expect.unreachable())
}

const remote = { host: 'mx', code: 450, lines: ['later', 'please'] }

describe('a table of answers', () => {
  it('is read in its order, and says other where nothing fits', () => {
    const { read } = reader([
      { category: 'greylist', pattern: /\blater\b/ },
      { category: 'rate', pattern: /^450/ },
    ])
    expect(read({ ...deferred('451'), remote }).category).toBe('greylist')
    expect(read(deferred('450 4.0.0 no')).category).toBe('rate')
    expect(read(failed('550 5.0.0 no'))).toEqual({ category: 'other', reaction: undefined })
  })

  it('gives the same answer each time, also with patterns that remember where they were', () => {
    const { read } = reader([
      { category: 'rate', pattern: /no/gy },
      { category: 'rate', pattern: /no/g },
    ])
    for (let time = 0; time < 3; time++) expect(read(deferred('450 4.0.0 no')).category).toBe('rate')
  })

  it('has reactions by category, or of a rule of its own', () => {
    const { read, reacts, suppresses } = reader(
      [
        { category: 'rate', pattern: /busy/, reaction: { pause: '5m' } },
        { category: 'rate', pattern: /fast/ },
        { category: 'unknown-recipient', pattern: /unknown/ },
      ],
      { rate: { pause: '10m', retry: '15m' }, 'unknown-recipient': { suppress: 'for-good' }, other: { as: 'failure' } },
    )
    expect([reacts, suppresses]).toEqual(['yes', 'yes'])
    expect(read(deferred('450 4.0.0 busy')).reaction).toMatchObject({ pauseMs: 300_000, schedule: undefined })
    expect(read(deferred('450 4.0.0 fast')).reaction).toMatchObject({ pauseMs: 600_000 })
    expect(read(failed('550 5.0.0 unknown')).reaction?.suppressMs).toBe(Number.POSITIVE_INFINITY)
    expect(read(deferred('450 4.0.0 hm')).reaction?.as).toBe('failure')
  })

  it('without reactions is for those who listen', () => {
    expect(reader([{ category: 'rate', pattern: /busy/ }])).toMatchObject({ reacts: 'no', suppresses: 'no' })
    expect(reader([], { rate: { pause: '1m' } })).toMatchObject({ reacts: 'yes', suppresses: 'no' })
  })

  it('is refused when a reaction cannot be read', () => {
    expect(() => reader([], { rate: { pause: 'soon' as '5m' } })).toThrow('not a duration')
    expect(() => reader([], { rate: { retry: 'soon' } })).toThrow('not a')
  })
})
