import type { Call, MessageSource } from '@mailwright/core'
import { describe, expect, it } from 'vitest'
import { memorySource, messageSource, readBody, wholeMessage, withHead } from './source.ts'

const bytes = (text: string): Uint8Array => Buffer.from(text)
const text = (data: Uint8Array): string => Buffer.from(data).toString()
const call: Call = { signal: new AbortController().signal }
const aborted: Call = { signal: AbortSignal.abort(new Error('nobody waits')) }

/** A body that is not in memory, and may hold more than its size says. */
function streamed(size: number, ...chunks: string[]): MessageSource {
  return {
    head: bytes('A: 1\r\n\r\n'),
    size: 8 + size,
    async *body() {
      yield* chunks.map(bytes)
    },
  }
}

describe('a message in one piece', () => {
  it('is split at the empty line without copying', () => {
    const whole = bytes('A: 1\r\n\r\nHello\r\n')
    const source = messageSource(whole)
    expect(text(source.head)).toBe('A: 1\r\n\r\n')
    expect(text(source.buffered!)).toBe('Hello\r\n')
    expect(source.size).toBe(15)
    expect(source.buffered!.buffer).toBe(whole.buffer)
  })

  it('is all head without an empty line, and all body without a header', () => {
    expect(text(messageSource(bytes('A: 1\r\n')).head)).toBe('A: 1\r\n')
    expect(text(messageSource(bytes('Hello\r\n')).buffered!)).toBe('Hello\r\n')
  })
})

describe('a message in memory', () => {
  it('can be read as often as needed', async () => {
    const source = memorySource(bytes('A: 1\r\n\r\n'), bytes('Hello\r\n'))
    for (let time = 0; time < 2; time++) {
      const chunks: string[] = []
      for await (const chunk of source.body(call)) chunks.push(text(chunk))
      expect(chunks).toEqual(['Hello\r\n'])
    }
  })

  it('is not read when nobody waits any more', async () => {
    const source = memorySource(bytes(''), bytes('Hello'))
    await expect(source.body(aborted)[Symbol.asyncIterator]().next()).rejects.toThrow('nobody waits')
  })

  it('keeps its body under another head', async () => {
    const source = withHead(streamed(5, 'Hello'), bytes('A: 1\r\nB: 2\r\n\r\n'))
    expect(source.size).toBe(19)
    expect(text(await wholeMessage(source, call, 100))).toBe('A: 1\r\nB: 2\r\n\r\nHello')
  })
})

describe('reading a body', () => {
  it('gives the buffered bytes themselves', async () => {
    const body = bytes('Hello')
    expect(await readBody(memorySource(bytes(''), body), call, 5)).toBe(body)
  })

  it('joins the pieces of a stream', async () => {
    expect(text(await readBody(streamed(6, 'Hel', 'lo', '!'), call, 6))).toBe('Hello!')
  })

  it('refuses more than the limit, whatever the size says', async () => {
    const limit = { code: 'ERR_MAILWRIGHT_LIMIT' }
    await expect(readBody(memorySource(bytes(''), bytes('Hello')), call, 4)).rejects.toMatchObject(limit)
    await expect(readBody(streamed(3, 'Hel', 'lo'), call, 4)).rejects.toMatchObject(limit)
    await expect(wholeMessage(streamed(3, 'Hel'), call, 7)).rejects.toMatchObject(limit)
    await expect(wholeMessage(streamed(3, 'Hel'), call, 10)).rejects.toMatchObject(limit)
  })
})
