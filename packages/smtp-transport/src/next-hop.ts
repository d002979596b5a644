/**
 * Next hops as lanes and options write them: `example.com` (by MX), `[mx.example.com]:2525` (that host, no MX),
 * `[192.0.2.1]`, `[IPv6:2001:db8::1]:25` and, for an address literal of RFC 5321 §4.1.3, the same in brackets; and
 * `unix:/path`, a socket of this machine.
 */
import { domainToASCII } from 'node:url'
import { parseAddress } from '@mailwright/core'

export interface NextHop {
  /** How addresses are found: by MX records, by the host's own addresses, or not at all. */
  readonly lookup: 'mx' | 'host' | 'none' | 'unix'
  /** A domain or host name in A-labels, lower case; an IP address; or the path of a unix socket. */
  readonly host: string
  /** 0 for a unix socket. */
  readonly port: number
}

const BRACKETED = /^\[(?:IPv6:)?([^\][]+)\](?::(\d{1,5}))?$/i
const UNIX = /^unix:(\/[^\x00-\x1f\x7f]{1,106})$/
const PLAIN = /^([^\][:]+)(?::(\d{1,5}))?$/

/** The next hops of a list, in the order they are to be tried: `a.example, [b.example]:25`. */
export function nextHopList(text: string): readonly string[] {
  return text.includes(',') ? text.split(',').map((each) => each.trim()) : [text]
}

/**
 * Reads a next hop. Undefined for anything that is none.
 *
 * @example
 * parseNextHop('[mx.example.com]:2525', 25) // { lookup: 'host', host: 'mx.example.com', port: 2525 }
 */
export function parseNextHop(text: string, defaultPort: number): NextHop | undefined {
  const path = UNIX.exec(text)?.[1]
  if (path !== undefined) return { lookup: 'unix', host: path, port: 0 }
  const bracketed = BRACKETED.exec(text)
  const match = bracketed ?? PLAIN.exec(text)
  if (match === null) return undefined
  const port = match[2] === undefined ? defaultPort : Number(match[2])
  if (port < 1 || port > 65_535) return undefined
  const name = match[1]!
  if (parseAddress(name) !== undefined) return { lookup: 'none', host: name, port }
  const withoutDot = name.endsWith('.') ? name.slice(0, -1) : name
  // Underscores are no part of host names but stand in real DNS; domainToASCII keeps them.
  const host = domainToASCII(withoutDot)
  // "1.2.3" is no name, and domainToASCII would make an address of it.
  if (host === '' || host.length > 253 || parseAddress(host) !== undefined) return undefined
  return { lookup: bracketed === null ? 'mx' : 'host', host, port }
}
