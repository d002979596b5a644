import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodedPhrase, encodedText } from './encoded-word.ts'

/** What a reader makes of encoded words: blanks between them are none. */
function decoded(text: string): string {
  return text
    .replace(/\?= =\?/g, '?==?')
    .replace(/=\?utf-8\?B\?([A-Za-z0-9+/=]*)\?=/g, (_, word: string) => Buffer.from(word, 'base64').toString())
}

describe('text in a header field', () => {
  it.each([
    ['Undelivered Mail', 'Undelivered Mail'],
    ['Grüße', '=?utf-8?B?R3LDvMOfZQ==?='],
    ['a\r\nBcc: all@example.org', 'a Bcc: all@example.org'],
    ['=?utf-8?Q?no?=', '=?utf-8?B?PT91dGYtOD9RP25vPz0=?='],
    ['  ', ''],
  ])('%j is written as %j', (text, written) => {
    expect(encodedText(text)).toBe(written)
  })

  it('is ASCII, has no line end, and words of a length that every reader takes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (text) => {
        const written = encodedText(text)
        expect(written).toMatch(/^[\x20-\x7e]*$/)
        if (written.startsWith('=?')) for (const word of written.split(' ')) expect(word.length).toBeLessThanOrEqual(75)
      }),
    )
  })

  it('says what it said', () => {
    const words = fc.string({ unit: 'grapheme', maxLength: 100 }).map((text) => text.replace(/\p{C}|\s/gu, 'x'))
    fc.assert(
      fc.property(words, (text) => {
        expect(decoded(encodedText(text))).toBe(text)
      }),
    )
  })
})

describe('a name before an address', () => {
  it.each([
    ['Mail Delivery System', 'Mail Delivery System'],
    ['Ann, "the" postmaster', '"Ann, \\"the\\" postmaster"'],
    ['Zoë', '=?utf-8?B?Wm/Dqw==?='],
    ['a@b> <c', '"a@b> <c"'],
  ])('%j is written as %j', (name, written) => {
    expect(encodedPhrase(name)).toBe(written)
  })
})
