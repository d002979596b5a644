import { expect, it } from 'vitest'
import { mayFollow } from './address-range.ts'
import { parseNextHop } from './next-hop.ts'

it.each([
  ['example.com', { lookup: 'mx', host: 'example.com', port: 25 }],
  ['Example.COM.', { lookup: 'mx', host: 'example.com', port: 25 }],
  ['example.com:587', { lookup: 'mx', host: 'example.com', port: 587 }],
  ['[mx.example.com]', { lookup: 'host', host: 'mx.example.com', port: 25 }],
  ['[mx.example.com]:2525', { lookup: 'host', host: 'mx.example.com', port: 2525 }],
  ['[192.0.2.1]', { lookup: 'none', host: '192.0.2.1', port: 25 }],
  ['[192.0.2.1]:26', { lookup: 'none', host: '192.0.2.1', port: 26 }],
  ['192.0.2.1:26', { lookup: 'none', host: '192.0.2.1', port: 26 }],
  ['[2001:db8::1]:26', { lookup: 'none', host: '2001:db8::1', port: 26 }],
  ['[IPv6:2001:db8::1]', { lookup: 'none', host: '2001:db8::1', port: 25 }],
  ['bücher.example', { lookup: 'mx', host: 'xn--bcher-kva.example', port: 25 }],
] as const)('the next hop %s is understood', (text, expected) => {
  expect(parseNextHop(text, 25)).toEqual(expected)
})

it.each(['', 'a b', '[x', 'x]', '[]:25', 'x:0', 'x:99999', 'x:25:25', '1.2.3', '[a b]', `${'a'.repeat(300)}.org`])(
  'the next hop %j is none',
  (text) => {
    expect(parseNextHop(text, 25)).toBeUndefined()
  },
)

it.each([
  ['192.0.2.1', 'public', true],
  ['2001:db8::1', 'public', true],
  ['10.1.2.3', 'not-loopback', true],
  ['10.1.2.3', 'public', false],
  ['172.31.0.1', 'public', false],
  ['172.32.0.1', 'public', true],
  ['192.168.0.1', 'public', false],
  ['169.254.1.1', 'public', false],
  ['100.64.0.1', 'public', false],
  ['fd00::1', 'public', false],
  ['fe80::1', 'public', false],
  ['127.0.0.2', 'not-loopback', false],
  ['0.0.0.0', 'not-loopback', false],
  ['224.0.0.1', 'not-loopback', false],
  ['::1', 'not-loopback', false],
  ['::', 'not-loopback', false],
  ['ff02::1', 'not-loopback', false],
  ['::ffff:127.0.0.1', 'not-loopback', false],
  ['not an address', 'not-loopback', false],
  ['127.0.0.1', 'any', true],
] as const)('an MX at %s, with %s addresses allowed: %s', (address, allowed, expected) => {
  expect(mayFollow(address, allowed)).toBe(expected)
})
