/** The network a client is counted by: what one guesser can easily change addresses in. */

/** A /24 of IPv4, a /64 of IPv6, as text. What is no address is a network of its own. */
export function clientNetwork(address: string): string {
  if (!address.includes(':')) return address.replace(/\.\d+$/, '')
  const [head = '', tail] = address.toLowerCase().split('::', 2)
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const groups =
    tail === undefined
      ? left
      : [...left, ...Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0'), ...right]
  return groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')
}
