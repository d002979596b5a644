/** Ranges of addresses, as an operator writes them: `192.0.2.7`, `10.0.0.0/8`, `2001:db8::/32`. */
import { BlockList, isIP, SocketAddress } from 'node:net'
import { MailwrightError } from '@mailwright/core'

/**
 * Whether an address is in one of the ranges. Bits beyond the prefix do not count. A name is no address: it is refused.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for what is no range; `name` says which option it was.
 * @example
 * const isProxy = addressList('proxy.from', ['10.0.0.0/8', '2001:db8::1'])
 * isProxy('10.1.2.3') // true
 */
export function addressList(name: string, ranges: readonly string[]): (address: string) => boolean {
  const list = new BlockList()
  for (const range of ranges) {
    const [network = '', prefix, ...more] = range.split('/')
    const family = familyOf(network)
    const widest = family === 'ipv4' ? 32 : 128
    const bits = prefix === undefined ? widest : /^\d{1,3}$/.test(prefix) ? Number(prefix) : widest + 1
    if (family === undefined || more.length > 0 || bits > widest) {
      throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `smtpListener: ${name} has no use for ${range}`)
    }
    list.addSubnet(network, bits, family)
  }
  return (address) => {
    const family = familyOf(address)
    return family !== undefined && list.check(address, family)
  }
}

/** The one way to write an address: IPv6 in its short form, IPv4-mapped as IPv4. Undefined for what is no address. */
export function canonicalAddress(text: string): string | undefined {
  const family = familyOf(text)
  if (family !== 'ipv6') return family && text
  const { address } = new SocketAddress({ address: text, family })
  return /^::ffff:\d+\.\d+\.\d+\.\d+$/i.test(address) ? address.slice(7) : address
}

function familyOf(address: string): 'ipv4' | 'ipv6' | undefined {
  const version = address.includes('%') ? 0 : isIP(address)
  if (version === 0) return undefined
  return version === 4 ? 'ipv4' : 'ipv6'
}
