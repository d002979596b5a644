/**
 * Address ranges that the DNS of a stranger must not lead us to: an MX record is the remote domain's word, and one that
 * says 127.0.0.1 would have us talk to ourselves. Next hops set by the operator are not looked at here.
 */
import { type AddressBlock, contains, parseAddress, parseBlock } from '@mailwright/core'

/** What an address found by MX may be. `not-loopback` also keeps off unspecified and multicast addresses. */
export type MxAddresses = 'public' | 'not-loopback' | 'any'

/** Loopback, unspecified, multicast, reserved. */
const NOBODY_ELSE: readonly AddressBlock[] = ['0.0.0.0/8', '127.0.0.0/8', '224.0.0.0/3', '::/127', 'ff00::/8'].map(
  parseBlock,
)

/** RFC 1918, shared (RFC 6598), link-local, unique local (RFC 4193). */
const PRIVATE: readonly AddressBlock[] = [
  '10.0.0.0/8',
  '100.64.0.0/10',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.168.0.0/16',
  'fc00::/7',
  'fe80::/10',
].map(parseBlock)

/** Whether mail may follow an MX record to this address. IPv4-mapped IPv6 addresses count as IPv4. */
export function mayFollow(text: string, allowed: MxAddresses): boolean {
  if (allowed === 'any') return true
  const address = parseAddress(text)
  if (address === undefined || isIn(NOBODY_ELSE, address)) return false
  return allowed === 'not-loopback' || !isIn(PRIVATE, address)
}

function isIn(blocks: readonly AddressBlock[], address: Uint8Array): boolean {
  return blocks.some((block) => contains(block, address))
}
