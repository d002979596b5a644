import { expect, it } from 'vitest'
import { messageReader } from './message-reader.ts'

it('takes commands and messages out of whatever has arrived', () => {
  const reader = messageReader()
  reader.push(Buffer.from('DATA\r\nSubject: x\r\n\r\n..dot\r\n.one\r\nend\r\n.\r\nQUIT\r\nNO'))
  expect(reader.line()).toBe('DATA')
  expect(reader.message()?.toString()).toBe('Subject: x\r\n\r\n.dot\r\none\r\nend\r\n')
  expect(reader.line()).toBe('QUIT')
  expect(reader.line()).toBeUndefined()
  expect(reader.waiting).toBe(2)
  reader.clear()
  expect(reader.waiting).toBe(0)
})

it('ends a message at CRLF dot CRLF only, however it is cut', () => {
  const wire = Buffer.from('a\n.\nb\r.\rc\r\n.\nd\n.\r\ne\r\n\r\n.\r\nRSET\r\n')
  for (let cut = 0; cut <= wire.length; cut++) {
    const reader = messageReader()
    const found: (string | undefined)[] = []
    for (const part of [wire.subarray(0, cut), wire.subarray(cut)]) {
      reader.push(part)
      if (found.length === 0) {
        const message = reader.message()
        if (message !== undefined) found.push(message.toString('latin1'))
      }
    }
    expect(found).toEqual(['a\n.\nb\r.\rc\r\n\nd\n.\r\ne\r\n\r\n'])
    expect(reader.line()).toBe('RSET')
  }
})

it('takes an empty message and one that begins with a dot', () => {
  const reader = messageReader()
  reader.push(Buffer.from('.\r\n..\r\n.\r\n'))
  expect(reader.message()?.toString()).toBe('')
  expect(reader.message()?.toString()).toBe('.\r\n')
})

it('takes a large message in small pieces', () => {
  const reader = messageReader()
  const body = Buffer.from(`${'x'.repeat(78)}\r\n`.repeat(20_000))
  const wire = Buffer.concat([body, Buffer.from('.\r\n')])
  let got: Buffer | undefined
  for (let at = 0; at < wire.length; at += 1_000) {
    expect(got).toBeUndefined()
    reader.push(wire.subarray(at, at + 1_000))
    got = reader.message()
  }
  expect(got?.equals(body)).toBe(true)
})
