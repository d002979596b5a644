import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { dotStuff, dotStuffer } from './dot-stuffing.ts'
import { dotUnstuffer } from './dot-unstuffing.ts'

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1')
const string = (data: Uint8Array): string => Buffer.from(data).toString('latin1')

const dottedText = fc
  .array(fc.constantFrom('\r', '\n', '\r\n', '.', '..', '\r\n.', '\r\n.\r', '\r\n.\r\n', 'a', 'bcd'), { maxLength: 16 })
  .map((pieces) => pieces.join(''))
const cuts = fc.array(fc.nat(40), { maxLength: 8 })

function chunksOf(text: string, at: readonly number[]): Uint8Array[] {
  const places = [...new Set(at.filter((place) => place < text.length))].sort((a, b) => a - b)
  return [...places, text.length].map((end, i) => bytes(text.slice(places[i - 1] ?? 0, end)))
}

/** What the rules say, without any cleverness: the message and how many bytes it took, or undefined. */
function unstuffNaively(wire: string): { message: string; used: number } | undefined {
  let message = ''
  let lineStart = 0
  for (;;) {
    if (wire.startsWith('.\r\n', lineStart)) return { message, used: lineStart + 3 }
    const end = wire.indexOf('\r\n', lineStart)
    if (end < 0) return undefined
    message += wire.slice(wire[lineStart] === '.' ? lineStart + 1 : lineStart, end + 2)
    lineStart = end + 2
  }
}

function unstuff(chunks: readonly Uint8Array[]): { message: string; used: number } | undefined {
  const data = dotUnstuffer()
  let message = ''
  let before = 0
  for (const chunk of chunks) {
    let emits = 0
    const end = data.feed(chunk, (slice) => {
      message += string(slice)
      emits++
    })
    expect(emits).toBeLessThanOrEqual(2)
    if (end >= 0) return { message, used: before + end }
    before += chunk.length
  }
  return undefined
}

describe('dot-stuffing', () => {
  it('doubles dots at the start of lines only', () => {
    expect(string(dotStuff(bytes('.a.\r\n..b\r\nc.\r\n.\r\n'), 'line-start'))).toBe('..a.\r\n...b\r\nc.\r\n..\r\n')
    expect(string(dotStuff(bytes('.a\r\n.b'), 'mid-line'))).toBe('.a\r\n..b')
  })

  it('returns the same array when there is nothing to do', () => {
    const body = bytes('no dots.\r\nat all\r\n')
    expect(dotStuff(body, 'line-start')).toBe(body)
    expect(dotStuffer().push(body)).toBe(body)
  })

  it('does not take a bare LF for a line end', () => {
    expect(string(dotStuff(bytes('a\n.b\r.c'), 'line-start'))).toBe('a\n.b\r.c')
  })

  it('ends the data with a dot on a line of its own', () => {
    const end = (body: string): string => {
      const stuffer = dotStuffer()
      return string(stuffer.push(bytes(body))) + string(stuffer.end())
    }
    expect(end('')).toBe('.\r\n')
    expect(end('a\r\n')).toBe('a\r\n.\r\n')
    expect(end('a')).toBe('a\r\n.\r\n')
    expect(end('a\n')).toBe('a\n\r\n.\r\n')
    expect(end('a\r')).toBe('a\r\r\n.\r\n')
  })

  it('gives the same result however the bytes are cut', () => {
    fc.assert(
      fc.property(dottedText, cuts, (text, at) => {
        const stuffer = dotStuffer()
        const out = chunksOf(text, at)
          .map((chunk) => string(stuffer.push(chunk)))
          .join('')
        expect(out).toBe(string(dotStuff(bytes(text), 'line-start')))
      }),
      { numRuns: 500 },
    )
  })
})

describe('dot-unstuffing', () => {
  it.each([
    ['an empty message', '.\r\nQUIT', '', 3],
    ['a message', 'a\r\n.\r\nQUIT', 'a\r\n', 6],
    ['doubled dots', '..a\r\n...\r\n.\r\n', '.a\r\n..\r\n', 13],
    ['a dot before text', '.a\r\n.\r\n', 'a\r\n', 7],
    ['a dot before a bare CR', '.\ra\r\n.\r\n', '\ra\r\n', 8],
    ['a dot before two CRs', '.\r\r\n.\r\n', '\r\r\n', 7],
    ['an empty line before the end', 'a\r\n\r\n.\r\n', 'a\r\n\r\n', 8],
  ])('reads %s', (_, wire, message, used) => {
    expect(unstuff([bytes(wire)])).toEqual({ message, used })
    expect(unstuff([...wire].map(bytes))).toEqual({ message, used })
  })

  it.each(['a\n.\n', 'a\n.\r\n', 'a\r\n.\nb', 'a\r.\r', 'a\r\n.\r', 'a\r.\r\n', 'a\n\n.\r\nb', '.\n', 'a\r\r\n'])(
    'does not take %j for the end of data',
    (wire) => {
      expect(unstuff([bytes(wire)])).toBeUndefined()
      expect(unstuff([...wire].map(bytes))).toBeUndefined()
    },
  )

  it('keeps a dot after a bare LF', () => {
    expect(unstuff([bytes('a\n..b\r\n.\r\n')])?.message).toBe('a\n..b\r\n')
  })

  it('emits the bytes themselves where no dot had to go', () => {
    const chunk = bytes('a\r\nb')
    dotUnstuffer().feed(chunk, (slice) => expect(slice).toBe(chunk))
  })

  it('agrees with the plain reading of the rules, however the bytes are cut', () => {
    fc.assert(
      fc.property(dottedText, cuts, (text, at) => {
        const wire = `${text}\r\n.\r\nNOOP\r\n`
        const expected = unstuffNaively(wire)
        expect(unstuff([bytes(wire)])).toEqual(expected)
        expect(unstuff(chunksOf(wire, at))).toEqual(expected)
        expect(unstuff([...wire].map(bytes))).toEqual(expected)
      }),
      { numRuns: 1_000 },
    )
  })

  it('undoes stuffing', () => {
    fc.assert(
      fc.property(dottedText, cuts, (text, at) => {
        const stuffer = dotStuffer()
        const wire = string(stuffer.push(bytes(text))) + string(stuffer.end())
        const complete = text === '' || text.endsWith('\r\n') ? text : `${text}\r\n`
        expect(unstuff(chunksOf(wire, at))).toEqual({ message: complete, used: wire.length })
      }),
      { numRuns: 500 },
    )
  })
})
