/**
 * Address ranges that the DNS of a stranger must not lead us to: an MX record is the remote domain's word, and one that
 * says 127.0.0.1 would have us talk to ourselves. Next hops set by the operator are not looked at here.
 */
import { parseIp } from './ip-address.ts'

/** What an address found by MX may be. `not-loopback` also keeps off unspecified and multicast addresses. */
export type MxAddresses = 'public' | 'not-loopback' | 'any'

/** Whether mail may follow an MX record to this address. IPv4-mapped IPv6 addresses count as IPv4. */
export function mayFollow(address: string, allowed: MxAddresses): boolean {
  if (allowed === 'any') return true
  const bytes = parseIp(address)
  if (bytes === undefined || isNobodyElse(bytes)) return false
  return allowed === 'not-loopback' || !isPrivate(bytes)
}

/** Loopback, unspecified, multicast, reserved. */
function isNobodyElse(bytes: readonly number[]): boolean {
  const first = bytes[0]!
  if (bytes.length === 4) return first === 0 || first === 127 || first >= 224
  return first === 0xff || (bytes.slice(0, 15).every((byte) => byte === 0) && bytes[15]! <= 1)
}

/** RFC 1918, shared (RFC 6598), link-local, unique local (RFC 4193). */
function isPrivate(bytes: readonly number[]): boolean {
  const [first = 0, second = 0] = bytes
  if (bytes.length === 16) return (first & 0xfe) === 0xfc || (first === 0xfe && (second & 0xc0) === 0x80)
  return (
    first === 10 ||
    (first === 100 && (second & 0xc0) === 64) ||
    (first === 169 && second === 254) ||
    (first === 172 && (second & 0xf0) === 16) ||
    (first === 192 && second === 168)
  )
}
