import type { Edit } from '@mailwright/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { applyEdits, headerField, prependToHead } from './edit.ts'
import { fields, headLength } from './head.ts'

const bytes = (text: string): Uint8Array => Buffer.from(text)
const text = (head: Uint8Array): string => Buffer.from(head).toString()
const HEAD = bytes('A: 1\r\nB: 2\r\n more\r\nA: 3\r\n\r\n')

describe('a header field', () => {
  it('is written with its line end', () => {
    expect(headerField('X-Spam', 'no')).toBe('X-Spam: no\r\n')
  })

  it('is folded at blanks to 78 characters', () => {
    const field = headerField('X-Long', Array.from({ length: 30 }, (_, i) => `word${i}`).join(' '))
    const lines = field.trimEnd().split('\r\n')
    expect(lines.length).toBeGreaterThan(2)
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(78)
    for (const line of lines.slice(1)) expect(line).toMatch(/^ \S/)
  })

  it('keeps a word whole that is longer than a line', () => {
    expect(headerField('X', 'y'.repeat(200))).toBe(`X: ${'y'.repeat(200)}\r\n`)
  })

  it('takes a folded value and folds it anew', () => {
    expect(headerField('X', 'one\r\n\ttwo')).toBe('X: one\ttwo\r\n')
  })

  it.each(['a\r\nEvil: b', 'a\nEvil: b', 'a\rEvil: b', 'a\0b', 'a\r\n\r\nbody'])(
    'refuses a value that would break its line: %j',
    (value) => {
      expect(() => headerField('X', value)).toThrow(expect.objectContaining({ code: 'ERR_MAILWRIGHT_CONFIG' }))
    },
  )

  it.each(['', 'a b', 'a:', 'a\r\nb', 'ä', 'a\0'])('refuses the name %j', (name) => {
    expect(() => headerField(name, 'x')).toThrow(expect.objectContaining({ code: 'ERR_MAILWRIGHT_CONFIG' }))
  })

  it('never becomes more than one field, and unfolds to what was put in', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ maxLength: 300 }),
          fc.array(fc.constantFrom('word', ' ', '\t', '\r', '\n', '\r\n', ':', 'longerword'), { maxLength: 60 }),
        ),
        (input) => {
          const value = typeof input === 'string' ? input : input.join('')
          let field: string
          try {
            field = headerField('X-Test', value)
          } catch {
            return
          }
          expect(field).toMatch(/^X-Test:[^\r\n\0]*(\r\n[ \t][^\r\n\0]*)*\r\n$/)
          expect(field).not.toMatch(/\r\n[ \t]*\r\n/)
          const [only, ...more] = fields(bytes(`${field}\r\n`))
          expect(more).toEqual([])
          expect(only?.value).toBe(value.replace(/\r\n(?=[ \t])/g, '').trim())
        },
      ),
    )
  })
})

describe('a head with fields on top', () => {
  it('is the fields and the head', () => {
    expect(text(prependToHead(HEAD, 'X: ü\r\n'))).toBe(`X: ü\r\n${text(HEAD)}`)
  })

  it.each([
    ['', 'X: y\r\n\r\n'],
    ['\r\n', 'X: y\r\n\r\n'],
    ['A: 1\r\n', 'X: y\r\nA: 1\r\n\r\n'],
    ['A: 1', 'X: y\r\nA: 1\r\n\r\n'],
  ])('ends in an empty line also when the head was %j', (head, expected) => {
    expect(text(prependToHead(bytes(head), 'X: y\r\n'))).toBe(expected)
  })

  it('refuses fields without their line end', () => {
    expect(() => prependToHead(HEAD, 'X: y')).toThrow(expect.objectContaining({ code: 'ERR_MAILWRIGHT_CONFIG' }))
  })
})

describe('edits', () => {
  const prepend = (name: string, value: string): Edit => ({ edit: 'prepend-header', name, value })
  const append = (name: string, value: string): Edit => ({ edit: 'append-header', name, value })
  const remove = (name: string): Edit => ({ edit: 'remove-header', name })

  it('put fields at the top and at the end, in order', () => {
    const edited = applyEdits(HEAD, [prepend('T', '1'), append('E', '1'), prepend('T', '2'), append('E', '2')])
    expect(text(edited)).toBe('T: 2\r\nT: 1\r\nA: 1\r\nB: 2\r\n more\r\nA: 3\r\nE: 1\r\nE: 2\r\n\r\n')
  })

  it('remove every field of a name, with its folding', () => {
    expect(text(applyEdits(HEAD, [remove('a')]))).toBe('B: 2\r\n more\r\n\r\n')
    expect(text(applyEdits(HEAD, [remove('b')]))).toBe('A: 1\r\nA: 3\r\n\r\n')
  })

  it('see the work of those before them', () => {
    expect(text(applyEdits(HEAD, [prepend('A', '0'), append('A', '9'), remove('A'), prepend('a', 'new')]))).toBe(
      'a: new\r\nB: 2\r\n more\r\n\r\n',
    )
  })

  it('leave the head as it is when nothing changes', () => {
    const address = { local: 'ann', domain: 'example.org' }
    expect(applyEdits(HEAD, [{ edit: 'add-recipient', address }, remove('C')])).toBe(HEAD)
  })

  it('give a head that has only fields its empty line', () => {
    expect(text(applyEdits(bytes('A: 1'), [append('B', '2')]))).toBe('A: 1\r\nB: 2\r\n\r\n')
  })

  it('never add anything but what they name', () => {
    const name = fc.constantFrom('A', 'B', 'X', 'bad name', 'X\r\nY')
    const value = fc.oneof(fc.string(), fc.constantFrom('x\r\nEvil: 1', 'x\r\n\r\nbody', 'x\n y'))
    const edit = fc.record({ edit: fc.constantFrom('prepend-header' as const, 'append-header' as const), name, value })
    fc.assert(
      fc.property(fc.array(edit, { maxLength: 5 }), (edits) => {
        let edited: Uint8Array
        try {
          edited = applyEdits(HEAD, edits)
        } catch {
          return
        }
        expect(fields(edited)).toHaveLength(3 + edits.length)
        expect(headLength(edited)).toBe(edited.length)
      }),
    )
  })
})
