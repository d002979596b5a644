import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { crc32c } from './crc32c.ts'
import { proxyHeaderReader } from './proxy-header.ts'

const SIGNATURE = '0d0a0d0a000d0a515549540a'

/** A header of version 2; what follows the length is given in hexadecimal. */
function v2(commandAndFamily: string, body: string): Buffer {
  const length = (body.length / 2).toString(16).padStart(4, '0')
  return Buffer.from(`${SIGNATURE}${commandAndFamily}${length}${body}`, 'hex')
}

function read(bytes: Buffer | string): unknown {
  const answer = proxyHeaderReader().push(Buffer.from(bytes as string, 'latin1'))
  if (answer === 'more' || answer.kind === 'problem') return answer
  return { ...answer, rest: answer.rest.toString('latin1') }
}

const V4 = 'c0000207c6336401303900 19'.replaceAll(' ', '')

test('version 1 names client and server, and what follows is left alone', () => {
  expect(read('PROXY TCP4 192.0.2.7 198.51.100.1 12345 25\r\nEHLO x\r\n')).toEqual({
    kind: 'proxied',
    client: { address: '192.0.2.7', port: 12_345 },
    server: { address: '198.51.100.1', port: 25 },
    rest: 'EHLO x\r\n',
  })
  expect(read('PROXY TCP6 2001:DB8:0:0::7 ::1 1 25\r\n')).toMatchObject({ client: { address: '2001:db8::7' } })
  expect(read('PROXY TCP6 ::ffff:192.0.2.7 ::1 1 25\r\n')).toMatchObject({ client: { address: '192.0.2.7' } })
  expect(read('PROXY UNKNOWN whatever it says\r\n')).toEqual({ kind: 'local', rest: '' })
  expect(read('PROXY UNKNOWN\r\n')).toEqual({ kind: 'local', rest: '' })
})

test('version 2 names client and server, over both families, and TLVs are skipped', () => {
  const proxied = { kind: 'proxied', client: { address: '192.0.2.7', port: 12_345 }, rest: '' }
  expect(read(v2('2111', V4))).toMatchObject(proxied)
  expect(read(v2('2111', `${V4}040003aabbcc`))).toMatchObject(proxied)
  const v6 = `${'20010db8'.padEnd(31, '0')}7${'0'.repeat(31)}1${'0001'}${'0019'}`
  expect(read(v2('2121', v6))).toMatchObject({
    client: { address: '2001:db8::7', port: 1 },
    server: { address: '::1', port: 25 },
  })
})

test('what the proxy says of itself, or cannot say, is local', () => {
  expect(read(v2('2000', ''))).toEqual({ kind: 'local', rest: '' })
  expect(read(v2('2011', V4))).toEqual({ kind: 'local', rest: '' })
  expect(read(v2('2100', 'ffff'))).toEqual({ kind: 'local', rest: '' })
  expect(read(v2('2131', '00'.repeat(216)))).toEqual({ kind: 'local', rest: '' })
})

describe('not a header is', () => {
  test.each([
    'EHLO client.example\r\n',
    'proxy TCP4 192.0.2.7 198.51.100.1 1 25\r\n',
    'PROXY\r\n',
    'PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n',
    'PROXY TCP4 192.0.2.7 198.51.100.1 1 25 more\r\n',
    'PROXY TCP4  192.0.2.7 198.51.100.1 1 25\r\n',
    'PROXY TCP4 ::1 ::1 1 25\r\n',
    'PROXY TCP6 192.0.2.7 198.51.100.1 1 25\r\n',
    'PROXY TCP4 192.0.2.07 198.51.100.1 1 25\r\n',
    'PROXY TCP6 fe80::1%eth0 ::1 1 25\r\n',
    'PROXY TCP4 192.0.2.7 198.51.100.1 70000 25\r\n',
    'PROXY TCP4 192.0.2.7 198.51.100.1 -1 25\r\n',
    'PROXY UDP4 192.0.2.7 198.51.100.1 1 25\r\n',
    'PROXY TCP4 192.0.2.7 198.51.100.1 1 25\nEHLO\r\n',
    `PROXY ${'x'.repeat(200)}`,
  ])('%j', (line) => {
    expect(read(line)).toMatchObject({ kind: 'problem' })
  })

  test.each([
    ['another version', v2('1111', V4)],
    ['another command', v2('2211', V4)],
    ['datagrams', v2('2112', V4)],
    ['a short address', v2('2111', V4.slice(2))],
    ['a short address of the longer family', v2('2121', V4)],
    ['a TLV that is longer than the header', v2('2111', `${V4}040004aabbcc`)],
    ['a TLV that is cut off', v2('2111', `${V4}0400`)],
    ['a unix address that is cut off', v2('2131', '00'.repeat(215))],
    ['a wrong checksum', v2('2111', `${V4}03000400000000`)],
    ['a checksum of the wrong size', v2('2111', `${V4}03000300000000`.slice(0, -2))],
    ['one beyond every measure', v2('2111', V4.padEnd(2 * 5_000, '0'))],
  ])('%s', (_what, header) => {
    expect(read(header)).toMatchObject({ kind: 'problem' })
  })
})

test('a right checksum is accepted, wherever it stands, and no other', () => {
  for (const more of ['', '040003aabbcc']) {
    const header = v2('2111', `${V4}03000400000000${more}`)
    header.writeUInt32BE(crc32c(header), 16 + 12 + 3)
    expect(read(header)).toMatchObject({ client: { address: '192.0.2.7' } })
    header.writeUInt8(header.readUInt8(16) ^ 1, 16)
    expect(read(header)).toMatchObject({ kind: 'problem' })
  }
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283)
})

test('a header that is too long is refused before it has come', () => {
  expect(read(v2('2111', V4.padEnd(2 * 5_000, '0')).subarray(0, 16))).toMatchObject({ kind: 'problem' })
})

test('however the bytes are cut, a header reads the same', () => {
  const headers = [
    Buffer.from('PROXY TCP4 192.0.2.7 198.51.100.1 12345 25\r\n'),
    v2('2111', `${V4}040003aabbcc`),
    v2('2000', ''),
  ]
  for (const header of headers) {
    const reader = proxyHeaderReader()
    for (let at = 0; at < header.length - 1; at++) expect(reader.push(header.subarray(at, at + 1))).toBe('more')
    expect(reader.push(header.subarray(-1))).not.toBe('more')
  }
})

test('no bytes whatever make it throw', () => {
  const start = fc.constantFrom(Buffer.from(SIGNATURE, 'hex'), Buffer.from('PROXY '), Buffer.alloc(0))
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 300 }), (signature, bytes) => {
      proxyHeaderReader().push(Buffer.concat([signature, bytes]))
    }),
  )
})
