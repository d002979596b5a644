import { expect, test } from 'vitest'
import { networkOf } from './network-of.ts'

const usual = { ipv4: 32, ipv6: 64 }

test.each([
  ['192.0.2.7', usual, '192.0.2.7'],
  ['192.0.2.7', { ipv4: 24, ipv6: 64 }, '192.0.2/24'],
  ['192.0.2.255', { ipv4: 28, ipv6: 64 }, '192.0.2.240/28'],
  ['2001:db8:0:1::25', usual, '2001:db8:0:1/64'],
  ['2001:db8:0:1:ffff:ffff:ffff:ffff', usual, '2001:db8:0:1/64'],
  ['2001:db8:0:2::25', usual, '2001:db8:0:2/64'],
  ['2001:db8::', { ipv4: 32, ipv6: 20 }, '2001:0/20'],
  ['::1', usual, '0:0:0:0/64'],
  ['64:ff9b::192.0.2.7', { ipv4: 32, ipv6: 112 }, '64:ff9b:0:0:0:0:c000/112'],
  ['2001:db8::1', { ipv4: 32, ipv6: 128 }, '2001:db8::1'],
  ['::ffff:192.0.2.7', usual, '192.0.2.7'],
  ['::ffff:192.0.2.7', { ipv4: 24, ipv6: 64 }, '192.0.2/24'],
])('the network of %s with %j is %s', (address, bits, network) => {
  expect(networkOf(address, bits)).toBe(network)
})

test.each(['', 'unknown', '1:2:3', '::1::2', 'g::1', '1:2:3:4:5:6:7:8:9', '12345::'])(
  'what is no address stands for itself: %s',
  (address) => {
    expect(networkOf(address, usual)).toBe(address)
  },
)
