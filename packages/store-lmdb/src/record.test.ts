import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CorruptRecord, decodeEntry, decodeMessage, type EntryRow, encodeEntry, encodeMessage } from './record.ts'
import { RecordCache } from './record-cache.ts'

const ROW: EntryRow = {
  lane: 'smtp:a',
  sender: null,
  recipients: [],
  size: 1,
  arrivedAt: 2,
  dueAt: 3,
  attempts: 0,
  siblings: 1,
}

describe('a message record', () => {
  it('that does not say what it holds is corrupt', () => {
    const facts = { options: {}, headLength: 0, bodyLength: 0 }
    const wrong = [{ options: 7 }, { headLength: -1 }, { headLength: undefined }, { bodyLength: 0.5 }, { file: 7 }]
    for (const each of wrong) {
      const json = JSON.stringify({ ...facts, ...each })
      const length = Buffer.from(new Uint32Array([json.length]).buffer)
      expect(() => decodeMessage(Buffer.concat([length, Buffer.from(json)]))).toThrow('the facts are incomplete')
    }
  })

  it('reads back as it was written, whatever the bytes', () => {
    const bytes = fc.uint8Array({ maxLength: 300 })
    const property = fc.property(bytes, bytes, fc.string(), (head, body, envid) => {
      const facts = { options: { envid }, headLength: head.length, bodyLength: body.length }
      const read = decodeMessage(encodeMessage(facts, head, body))
      expect(read.options).toEqual({ envid })
      expect(Buffer.from(read.head).equals(head)).toBe(true)
      expect(Buffer.from(read.body!).equals(body)).toBe(true)
    })
    fc.assert(property, { seed: 1 })
  })

  it('that lost or gained bytes anywhere is corrupt, not another message', () => {
    const record = encodeMessage(
      { options: {}, headLength: 3, bodyLength: 5 },
      Buffer.from('abc'),
      Buffer.from('defgh'),
    )
    for (let length = 0; length < record.length; length++)
      expect(() => decodeMessage(record.subarray(0, length))).toThrow(CorruptRecord)
    expect(() => decodeMessage(Buffer.concat([record, Buffer.from('x')]))).toThrow(CorruptRecord)
  })

  it('of noise is corrupt, and nothing worse', () => {
    const property = fc.property(fc.uint8Array({ maxLength: 100 }), (noise) => {
      expect(() => decodeMessage(noise)).toThrow(CorruptRecord)
      expect(() => decodeEntry(noise)).toThrow(CorruptRecord)
    })
    fc.assert(property, { seed: 1 })
  })
})

describe('an entry record', () => {
  it('reads back as it was written', () => {
    expect(decodeEntry(encodeEntry(ROW))).toEqual(ROW)
  })

  it('without one of its facts is corrupt', () => {
    for (const name of Object.keys(ROW)) {
      const rest = Object.fromEntries(Object.entries(ROW).filter(([each]) => each !== name))
      expect(() => decodeEntry(Buffer.from(JSON.stringify(rest))), name).toThrow(CorruptRecord)
    }
  })
})

describe('the cache of records', () => {
  it('drops the oldest when it is over its bytes, and never keeps more', () => {
    const cache = new RecordCache(100)
    for (const id of ['a', 'b', 'c']) cache.add(id, new Uint8Array(40))
    expect(['a', 'b', 'c'].map((id) => cache.get(id) !== undefined)).toEqual([false, true, true])
    cache.add('large', new Uint8Array(101))
    expect(cache.get('large')).toBeUndefined()
    cache.remove('b')
    cache.add('d', new Uint8Array(60))
    expect(['c', 'd'].map((id) => cache.get(id) !== undefined)).toEqual([true, true])
  })

  it('keeps one record of an id', () => {
    const cache = new RecordCache(100)
    for (let index = 0; index < 10; index++) cache.add('a', new Uint8Array(60))
    cache.add('b', new Uint8Array(40))
    expect(cache.get('a')).toBeDefined()
  })
})
