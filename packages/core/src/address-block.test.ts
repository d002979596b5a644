import { describe, expect, it } from 'vitest'
import { contains, parseAddress, parseBlock } from './address-block.ts'

const isIn = (address: string, block: string): boolean => contains(parseBlock(block), parseAddress(address)!)

describe('blocks of addresses', () => {
  it.each([
    ['10.1.2.3', '10.0.0.0/8', true],
    ['11.1.2.3', '10.0.0.0/8', false],
    ['192.0.2.127', '192.0.2.0/25', true],
    ['192.0.2.128', '192.0.2.0/25', false],
    ['192.0.2.1', '192.0.2.1', true],
    ['192.0.2.2', '192.0.2.1', false],
    ['8.8.8.8', '0.0.0.0/0', true],
    ['2001:db8::1', '2001:db8::/32', true],
    ['2001:db9::1', '2001:db8::/32', false],
    ['2001:db8:0:8000::1', '2001:db8:0:8000::/49', true],
    ['2001:db8:0:7fff::1', '2001:db8:0:8000::/49', false],
    ['::1', '::1', true],
    ['::2', '::1/128', false],
    ['::1', '0.0.0.0/0', false],
    ['10.1.2.3', '::/0', false],
    ['::ffff:10.1.2.3', '10.0.0.0/8', true],
    ['::ffff:a01:203', '10.0.0.0/8', true],
    ['10.1.2.3', '::ffff:10.0.0.0/104', true],
    ['fe80::1%eth0', 'fe80::/10', true],
    ['64:ff9b::192.0.2.1', '64:ff9b::/96', true],
  ])('%s in %s: %s', (address, block, expected) => {
    expect(isIn(address, block)).toBe(expected)
  })

  it.each([
    '',
    'localhost',
    '10.0.0',
    '10.0.0.256',
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.0.0.0/x',
    '10.0.0.0/8/8',
    '::/129',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7::8:9',
    'g::',
    '12345::',
    '::1.2.3',
    '::ffff:1.2.3.256',
    '1.2.3.4:25',
  ])('%j is no block', (text) => {
    expect(() => parseBlock(text)).toThrow('not an address')
  })

  it('a block with bits behind its prefix is a slip', () => {
    expect(() => parseBlock('10.1.2.3/8')).toThrow('bits set behind the prefix')
    expect(() => parseBlock('2001:db8::1/32')).toThrow('bits set behind the prefix')
  })

  it('no address is no address', () => {
    expect(parseAddress('mail.example.org')).toBeUndefined()
    expect(parseAddress('a:b')).toBeUndefined()
  })
})
