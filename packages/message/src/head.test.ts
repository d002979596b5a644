import { describe, expect, it } from 'vitest'
import { countFields, fields, fieldValue, headLength } from './head.ts'

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text))

const HEAD = bytes(
  'Received: from a\r\n\tby b\r\nSubject: hello\r\n world \r\nmessage-id : <1@example.org>\r\nReceived: from c\r\n\r\n',
)

describe('the length of a head', () => {
  it('includes the empty line', () => {
    expect(headLength(bytes('Subject: hi\r\n\r\nHello'))).toBe(15)
  })

  it('is unknown while the empty line has not come', () => {
    expect(headLength(bytes('Subject: hi\r\n\r'))).toBe(-1)
    expect(headLength(bytes('Subj'))).toBe(-1)
    expect(headLength(bytes(''))).toBe(-1)
  })

  it('is two when the message begins with the empty line', () => {
    expect(headLength(bytes('\r\nHello\r\n'))).toBe(2)
  })

  it('is not ended by bare line feeds', () => {
    expect(headLength(bytes('Subject: hi\n\nHello'))).toBe(-1)
  })

  it('is zero when the message begins with text', () => {
    expect(headLength(bytes('Hello, Ann\r\n\r\nBob\r\n'))).toBe(0)
    expect(headLength(bytes(' folded: what\r\n'))).toBe(0)
  })

  it('counts the line of a mailbox file as part of the head', () => {
    expect(headLength(bytes('From ann@example.org Sun Nov 22\r\nA: b\r\n\r\n'))).toBe(41)
    expect(headLength(bytes('From ann@example.org Sun Nov 22'))).toBe(-1)
  })
})

describe('the fields of a head', () => {
  it('keep name and folding, and have an unfolded value', () => {
    expect(fields(HEAD)).toEqual([
      { name: 'Received', raw: 'Received: from a\r\n\tby b', value: 'from a\tby b' },
      { name: 'Subject', raw: 'Subject: hello\r\n world ', value: 'hello world' },
      { name: 'message-id', raw: 'message-id : <1@example.org>', value: '<1@example.org>' },
      { name: 'Received', raw: 'Received: from c', value: 'from c' },
    ])
  })

  it('end at the empty line, even when body follows', () => {
    expect(fields(bytes('A: 1\r\n\r\nB: 2\r\n')).map((field) => field.name)).toEqual(['A'])
  })

  it('do not include lines that are no fields', () => {
    expect(fields(bytes('From ann Sun\r\nA: 1\r\nnot a field\r\n: 2\r\nB: 3'))).toEqual([
      { name: 'A', raw: 'A: 1', value: '1' },
      { name: 'B', raw: 'B: 3', value: '3' },
    ])
  })

  it('are found by name without case, the first one first', () => {
    expect(fieldValue(HEAD, 'RECEIVED')).toBe('from a\tby b')
    expect(fieldValue(HEAD, 'Message-ID')).toBe('<1@example.org>')
    expect(fieldValue(HEAD, 'subject')).toBe('hello world')
    expect(fieldValue(HEAD, 'sub')).toBeUndefined()
    expect(fieldValue(bytes('A: 1\r\n\r\nB: 2\r\n'), 'B')).toBeUndefined()
  })

  it('may hold UTF-8', () => {
    expect(fieldValue(bytes('Subject: Grüße\r\n\r\n'), 'Subject')).toBe('Grüße')
  })

  it('are counted', () => {
    expect(countFields(HEAD, 'received')).toBe(2)
    expect(countFields(HEAD, 'To')).toBe(0)
  })
})
