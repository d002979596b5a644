/**
 * Which network a client belongs to, for everything that is counted per client: with IPv6 one customer has a /64, so
 * that counting single addresses counts nobody. An address that cannot be read stands for itself.
 */
import { parseAddress } from '@mailwright/core'

/** How many bits of an address make its network. */
export interface NetworkBits {
  /** Default 32: each address for itself. */
  readonly ipv4: number
  /** Default 64. */
  readonly ipv6: number
}

/**
 * The network of an address, as a key: `192.0.2.7`, `2001:db8:0:1/64`.
 *
 * @example
 * networkOf('2001:db8:0:1::25', { ipv4: 32, ipv6: 64 }) // 2001:db8:0:1/64
 */
export function networkOf(address: string, bits: NetworkBits): string {
  if (bits.ipv4 === 32 && !address.includes(':')) return address
  const bytes = parseAddress(address)
  if (bytes === undefined) return address
  if (bytes.length === 4) return prefix([...bytes], 8, bits.ipv4, 10, '.')
  return bits.ipv6 === 128 ? address : prefix(groupsOf(bytes), 16, bits.ipv6, 16, ':')
}

/** The eight groups of an IPv6 address (RFC 4291 §2.2). */
function groupsOf(bytes: Uint8Array): readonly number[] {
  return Array.from({ length: 8 }, (_, group) => bytes[group * 2]! * 256 + bytes[group * 2 + 1]!)
}

/** The first `bits` bits of parts of `width` bits each; of a whole address the address itself. */
function prefix(parts: readonly number[], width: number, bits: number, radix: number, separator: string): string {
  const kept = parts.slice(0, Math.ceil(bits / width))
  const surplus = kept.length * width - bits
  const last = kept.length - 1
  if (surplus > 0) kept[last] = (kept[last]! >>> surplus) << surplus
  const text = kept.map((part) => part.toString(radix)).join(separator)
  return bits === parts.length * width ? text : `${text}/${bits}`
}
