/** Ranges of addresses, as an operator writes them: `192.0.2.7`, `10.0.0.0/8`, `2001:db8::/32`. */
import { isIP, SocketAddress } from 'node:net'
import { contains, MailwrightError, parseAddress, parseBlock } from '@mailwright/core'

/**
 * Whether an address is in one of the ranges. Bits set behind the prefix are a slip, and refused. A name is no address: it is refused.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for what is no range; `name` says which option it was.
 * @example
 * const isProxy = addressList('proxy.from', ['10.0.0.0/8', '2001:db8::1'])
 * isProxy('10.1.2.3') // true
 */
export function addressList(name: string, ranges: readonly string[]): (address: string) => boolean {
  const blocks = ranges.map((range) => {
    try {
      return parseBlock(range)
    } catch (error) {
      throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `smtpListener: ${name} has no use for ${range}`, {
        cause: error,
      })
    }
  })
  return (text) => {
    const address = parseAddress(text)
    return address !== undefined && blocks.some((block) => contains(block, address))
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
