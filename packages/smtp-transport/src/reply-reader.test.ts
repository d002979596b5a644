import { describe, expect, it } from 'vitest'
import { MAX_REPLY_LINE, MAX_REPLY_LINES, ReplyReader } from './reply-reader.ts'

function readAll(chunks: readonly string[]): unknown[] {
  const reader = new ReplyReader()
  const replies: unknown[] = []
  for (const chunk of chunks) {
    reader.push(Buffer.from(chunk))
    for (let reply = reader.next(); reply !== undefined; reply = reader.next()) {
      replies.push(reply)
      if (reply === 'garbage') return replies
    }
  }
  return replies
}

describe('replies', () => {
  const text = '220 mx ESMTP\r\n250-mx\r\n250-SIZE 10\r\n250 DSN\r\n354 go\r\n250\r\n250 \r\n550 5.1.1 nö\r\n'
  const expected = [
    { code: 220, lines: ['mx ESMTP'] },
    { code: 250, lines: ['mx', 'SIZE 10', 'DSN'] },
    { code: 354, lines: ['go'] },
    { code: 250, lines: [''] },
    { code: 250, lines: [''] },
    { code: 550, lines: ['5.1.1 nö'] },
  ]

  it('are read from one chunk', () => {
    expect(readAll([text])).toEqual(expected)
  })

  it('are the same however the bytes are cut', () => {
    const bytes = Buffer.from(text)
    for (let first = 0; first < bytes.length; first += 3) {
      for (let second = first; second < bytes.length; second += 5) {
        const reader = new ReplyReader()
        const replies: unknown[] = []
        for (const piece of [bytes.subarray(0, first), bytes.subarray(first, second), bytes.subarray(second)]) {
          reader.push(new Uint8Array(piece))
          for (let reply = reader.next(); reply !== undefined; reply = reader.next()) replies.push(reply)
        }
        expect(replies).toEqual(expected)
        expect(reader.pending).toBe(false)
      }
    }
  })

  it('may end in a bare LF', () => {
    expect(readAll(['250-a\n250 b\n'])).toEqual([{ code: 250, lines: ['a', 'b'] }])
  })

  it('that are not complete are waited for', () => {
    expect(readAll(['250-a\r\n250'])).toEqual([])
  })
})

describe('garbage', () => {
  it.each([
    ['text', 'hello\r\n'],
    ['an empty line', '\r\n'],
    ['a code of one digit', '2 ok\r\n'],
    ['a code below 200', '100 go\r\n'],
    ['a code above 599', '600 no\r\n'],
    ['letters in the code', '2x0 no\r\n'],
    ['no separator', '250ok\r\n'],
    ['codes that differ in one reply', '250-a\r\n251 b\r\n'],
    ['a line without end', 'x'.repeat(MAX_REPLY_LINE + 1)],
    ['an over-long line', `250 ${'x'.repeat(MAX_REPLY_LINE)}\r\n`],
    ['too many lines', '250-a\r\n'.repeat(MAX_REPLY_LINES + 2)],
  ])('is %s', (_, text) => {
    expect(readAll([text])).toEqual(['garbage'])
  })
})
