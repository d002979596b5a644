/**
 * Which network a client belongs to, for everything that is counted per client: with IPv6 one customer has a /64, so
 * that counting single addresses counts nobody. An address that cannot be read stands for itself.
 */

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
  if (!address.includes(':')) {
    if (bits.ipv4 === 32) return address
    const octets = address.split('.').map(Number)
    return octets.length === 4 && octets.every(isOctet) ? prefix(octets, 8, bits.ipv4, 10, '.') : address
  }
  if (bits.ipv6 === 128) return address
  const groups = ipv6Groups(address)
  return groups === undefined ? address : prefix(groups, 16, bits.ipv6, 16, ':')
}

function isOctet(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= 255
}

/** The first `bits` bits of parts of `width` bits each. */
function prefix(parts: readonly number[], width: number, bits: number, radix: number, separator: string): string {
  const kept = parts.slice(0, Math.ceil(bits / width))
  const surplus = kept.length * width - bits
  const last = kept.length - 1
  if (surplus > 0) kept[last] = (kept[last]! >>> surplus) << surplus
  return `${kept.map((part) => part.toString(radix)).join(separator)}/${bits}`
}

/** The eight groups of an IPv6 address (RFC 4291 §2.2), or undefined for what is none. */
function ipv6Groups(address: string): readonly number[] | undefined {
  const halves = address.split('::')
  if (halves.length > 2) return undefined
  const front = groupsOf(halves[0]!)
  const back = halves[1] === undefined ? [] : groupsOf(halves[1])
  const missing = 8 - front.length - back.length
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined
  const groups = [...front, ...Array<number>(missing).fill(0), ...back]
  return groups.every((group) => group >= 0 && group <= 0xffff) ? groups : undefined
}

function groupsOf(text: string): readonly number[] {
  if (text === '') return []
  return text.split(':').flatMap((group): number[] => {
    if (!group.includes('.')) return [/^[0-9a-f]{1,4}$/i.test(group) ? Number.parseInt(group, 16) : Number.NaN]
    const octets = group.split('.').map(Number)
    if (octets.length !== 4 || !octets.every(isOctet)) return [Number.NaN]
    return [octets[0]! * 256 + octets[1]!, octets[2]! * 256 + octets[3]!]
  })
}
