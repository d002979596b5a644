/**
 * Blocks of IP addresses (RFC 4632, RFC 4291). An IPv4-mapped IPv6 address is its IPv4 address, in a block as in a
 * client's address, so that `10.0.0.0/8` means the same whichever way the connection came.
 */
import { MailwrightError } from './errors.ts'

const ZERO = 48
const DOT = 46

/** A block of addresses. */
export interface AddressBlock {
  /** As it was written. */
  readonly text: string
  /** 4 or 16 bytes. */
  readonly bytes: Uint8Array
  /** How many leading bits count. */
  readonly prefix: number
}

/**
 * Reads `10.0.0.0/8`, `2001:db8::/32`, or a single address.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for anything else, and for a block with bits set behind its prefix:
 * `10.1.2.3/8` is more likely a slip than a wish.
 */
export function parseBlock(text: string): AddressBlock {
  const slash = text.indexOf('/')
  const raw = parseAddress(slash < 0 ? text : text.slice(0, slash), 'as written')
  if (raw === undefined) throw notABlock(text)
  const most = raw.length * 8
  const suffix = slash < 0 ? String(most) : text.slice(slash + 1)
  const prefix = Number(suffix)
  if (!/^\d{1,3}$/.test(suffix) || prefix > most) throw notABlock(text)
  for (let bit = prefix; bit < most; bit++) {
    if (bitAt(raw, bit) === 1) throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `bits set behind the prefix: ${text}`)
  }
  return isMapped(raw) && prefix >= 96
    ? { text, bytes: raw.subarray(12), prefix: prefix - 96 }
    : { text, bytes: raw, prefix }
}

/** The bytes of an address: 4, or 16. An IPv4-mapped address has 4. Undefined for anything that is no address. */
export function parseAddress(text: string, mapped: 'unmap' | 'as written' = 'unmap'): Uint8Array | undefined {
  if (!text.includes(':')) return parseV4(text)
  const bytes = parseV6(text)
  return bytes !== undefined && mapped === 'unmap' && isMapped(bytes) ? bytes.subarray(12) : bytes
}

/** Whether the block holds the address. Addresses of the other family are never in it. */
export function contains(block: AddressBlock, address: Uint8Array): boolean {
  if (block.bytes.length !== address.length) return false
  const whole = block.prefix >> 3
  for (let index = 0; index < whole; index++) if (block.bytes[index] !== address[index]) return false
  const rest = block.prefix & 7
  return rest === 0 || block.bytes[whole]! >> (8 - rest) === address[whole]! >> (8 - rest)
}

function parseV4(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(4)
  let at = 0
  for (let index = 0; index < 4; index++) {
    if (index > 0 && text.charCodeAt(at++) !== DOT) return undefined
    const start = at
    let number = 0
    while (at < text.length && at - start < 3 && isDigit(text.charCodeAt(at))) {
      number = number * 10 + text.charCodeAt(at++) - ZERO
    }
    if (at === start || number > 255) return undefined
    bytes[index] = number
  }
  return at === text.length ? bytes : undefined
}

function isDigit(code: number): boolean {
  return code >= ZERO && code <= ZERO + 9
}

function parseV6(text: string): Uint8Array | undefined {
  // A zone (`fe80::1%eth0`) says which interface, not which address.
  const plain = text.replace(/%.*$/, '')
  const lastColon = plain.lastIndexOf(':')
  const tail = plain.slice(lastColon + 1)
  let groups = plain
  if (tail.includes('.')) {
    const v4 = parseV4(tail)
    if (v4 === undefined) return undefined
    const pair = [v4[0]! * 256 + v4[1]!, v4[2]! * 256 + v4[3]!].map((group) => group.toString(16))
    groups = `${plain.slice(0, lastColon + 1)}${pair.join(':')}`
  }
  const halves = groups.split('::')
  if (halves.length > 2) return undefined
  const [before = [], after = []] = halves.map((half) => (half === '' ? [] : half.split(':')))
  const missing = 8 - before.length - after.length
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined
  const all = [...before, ...new Array<string>(missing).fill('0'), ...after]
  if (!all.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return undefined
  return Uint8Array.from(all.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 255]))
}

function isMapped(bytes: Uint8Array): boolean {
  if (bytes.length !== 16 || bytes[10] !== 255 || bytes[11] !== 255) return false
  for (let index = 0; index < 10; index++) if (bytes[index] !== 0) return false
  return true
}

function bitAt(bytes: Uint8Array, bit: number): number {
  return (bytes[bit >> 3]! >> (7 - (bit & 7))) & 1
}

function notABlock(text: string): MailwrightError {
  return new MailwrightError('ERR_MAILWRIGHT_CONFIG', `not an address or a block of addresses: ${text}`)
}
