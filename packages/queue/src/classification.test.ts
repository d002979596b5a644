import { deferred, failed } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { answerLine, type Reactions, type ResponseRule, responseReader } from './classification.ts'

function reader(table: readonly ResponseRule[], reactions: Reactions = {}) {
  return responseReader(table, reactions, () => expect.unreachable())
}

const remote = { host: 'mx', code: 450, lines: ['later', 'please'] }

describe('an answer as a line', () => {
  it('is what they said, where they did, on one line', () => {
    expect(answerLine({ ...deferred('451 4.3.0 ours'), remote })).toBe('450 later please')
    const coded = { ...remote, enhanced: '4.2.0' }
    expect(answerLine({ ...deferred('451'), remote: coded })).toBe('450 4.2.0 later please')
    expect(answerLine({ ...deferred('451'), remote: { ...coded, lines: ['4.2.0 later'] } })).toBe('450 4.2.0 later')
    expect(answerLine(failed('550 5.1.1 unknown'))).toBe('550 5.1.1 unknown')
  })

  it('has an end, and no line breaks, whatever they answered', () => {
    const lines = Array.from({ length: 128 }, () => `x\r\n${'y'.repeat(2_000)}`)
    const line = answerLine({ ...deferred('451'), remote: { ...remote, lines } })
    expect(line).toHaveLength(999)
    expect(line).not.toMatch(/[\r\n]/)
    expect(answerLine(failed(`550 5.0.0 ${'y'.repeat(5_000)}`))).toHaveLength(1_000)
  })
})

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
    const { read, reacts } = reader(
      [
        { category: 'rate', pattern: /busy/, reaction: { pause: '5m' } },
        { category: 'rate', pattern: /fast/ },
        { category: 'unknown-recipient', pattern: /unknown/ },
      ],
      { rate: { pause: '10m', retry: '15m' }, 'unknown-recipient': { suppress: 'for-good' }, other: { as: 'failure' } },
    )
    expect(reacts).toBe('yes')
    expect(read(deferred('450 4.0.0 busy')).reaction).toMatchObject({ pauseMs: 300_000, schedule: undefined })
    expect(read(deferred('450 4.0.0 fast')).reaction).toMatchObject({ pauseMs: 600_000 })
    expect(read(failed('550 5.0.0 unknown')).reaction?.suppressMs).toBe(Number.POSITIVE_INFINITY)
    expect(read(deferred('450 4.0.0 hm')).reaction?.as).toBe('failure')
  })

  it('without reactions is for those who listen', () => {
    expect(reader([{ category: 'rate', pattern: /busy/ }]).reacts).toBe('no')
  })

  it('is refused when a reaction cannot be read', () => {
    expect(() => reader([], { rate: { pause: 'soon' as '5m' } })).toThrow('not a duration')
    expect(() => reader([], { rate: { retry: 'soon' } })).toThrow('not a')
  })
})
