import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type LineProblem, lineGuard, lineNormalizer } from './line-ends.ts'

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1')

/** Text made of what matters here, cut at random. */
const cut = fc
  .tuple(
    fc.array(fc.constantFrom('\r', '\n', '\r\n', '\0', 'a', 'bc'), { maxLength: 20 }),
    fc.array(fc.nat(20), { maxLength: 6 }),
  )
  .map(([pieces, cuts]) => {
    const text = pieces.join('')
    const at = [...new Set(cuts.filter((place) => place < text.length))].sort((a, b) => a - b)
    return { text, chunks: [...at, text.length].map((end, i) => bytes(text.slice(at[i - 1] ?? 0, end))) }
  })

function firstProblem(text: string): LineProblem | undefined {
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '\0') return 'nul'
    if (text[at] === '\r' && text[at + 1] !== '\n') return 'bare-cr'
    if (text[at] === '\n' && text[at - 1] !== '\r') return 'bare-lf'
  }
  return undefined
}

describe('the line guard', () => {
  it.each([
    ['one\r\ntwo\r\n', undefined],
    ['one\ntwo\r\n', 'bare-lf'],
    ['\none', 'bare-lf'],
    ['one\rtwo\r\n', 'bare-cr'],
    ['one\r\r\n', 'bare-cr'],
    ['one\r', 'bare-cr'],
    ['one\0', 'nul'],
  ])('finds in %j: %s', (text, problem) => {
    const guard = lineGuard()
    expect(guard.check(bytes(text)) ?? guard.end()).toBe(problem)
  })

  it('judges a CR at the end of a chunk with what follows', () => {
    const good = lineGuard()
    expect([good.check(bytes('a\r')), good.check(bytes('')), good.check(bytes('\nb')), good.end()]).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ])
    const bad = lineGuard()
    expect([bad.check(bytes('a\r')), bad.check(bytes('b'))]).toEqual([undefined, 'bare-cr'])
  })

  it('finds the same first problem however the bytes are cut', () => {
    fc.assert(
      fc.property(cut, ({ text, chunks }) => {
        const guard = lineGuard()
        let found: LineProblem | undefined
        for (const chunk of chunks) found ??= guard.check(chunk)
        expect(found ?? guard.end()).toBe(firstProblem(text))
      }),
      { numRuns: 500 },
    )
  })
})

describe('the line normalizer', () => {
  it('makes every line end a CRLF and removes NUL', () => {
    expect(
      Buffer.from(lineNormalizer().push(bytes('a\nb\rc\r\nd\0e\r\r\n\n')))
        .toString()
        .replaceAll('\r\n', '|'),
    ).toBe('a|b|c|de|||')
  })

  it('returns the same array when there is nothing to do', () => {
    const chunk = bytes('one\r\ntwo\r\n')
    expect(lineNormalizer().push(chunk)).toBe(chunk)
  })

  it('gives the same result however the bytes are cut', () => {
    fc.assert(
      fc.property(cut, ({ text, chunks }) => {
        const normalizer = lineNormalizer()
        const out = Buffer.concat([...chunks.map((chunk) => normalizer.push(chunk)), normalizer.end()])
        expect(out.toString('latin1')).toBe(text.replaceAll('\0', '').replace(/\r\n|\r|\n/g, '\r\n'))
      }),
      { numRuns: 500 },
    )
  })
})
