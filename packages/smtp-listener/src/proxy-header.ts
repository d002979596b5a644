/**
 * The header a proxy puts before the first byte of a connection (HAProxy's proxy-protocol.txt, versions 1 and 2): who the
 * client is and where it connected to. A pure reader of bytes: what comes behind the header is handed back untouched.
 *
 * `local` is a connection of the proxy itself, or one it knows nothing about (LOCAL, UNKNOWN, a unix socket): the spec has
 * us take the addresses of the connection then. Anything that is not exactly a header is a problem, never a guess.
 * TLVs must fit, and are skipped, but for a checksum (PP2_TYPE_CRC32C), which must be right: what a proxy says of TLS is
 * not believed.
 * It does not know who may send a header.
 */
import type { Peer } from '@mailwright/core'
import { canonicalAddress } from './address-list.ts'
import { crc32c } from './crc32c.ts'

export type ProxyHeader =
  | { readonly kind: 'proxied'; readonly client: Peer; readonly server: Peer; readonly rest: Buffer }
  | { readonly kind: 'local'; readonly rest: Buffer }

export interface ProxyHeaderProblem {
  readonly kind: 'problem'
  /** For the operator. Made of our words only. */
  readonly problem: string
}

export interface ProxyHeaderReader {
  /** The next bytes. `more` until the header is whole; nothing is to be pushed after that. */
  push(bytes: Uint8Array): 'more' | ProxyHeader | ProxyHeaderProblem
}

const V1 = Buffer.from('PROXY ', 'latin1')
const V2 = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')
/** The longest header of version 1, CRLF included. */
const LONGEST_V1 = 107
const V2_FIXED = 16
/** Addresses and TLVs of version 2. A proxy that says where a TLS session came from needs some hundred. */
const LONGEST_V2 = 4_096
/** Octets of both addresses and ports, by family: 0x11, 0x21, 0x31. */
const ADDRESSES: Readonly<Record<number, number>> = { 17: 12, 33: 36, 49: 216 }
/** PP2_TYPE_CRC32C */
const CHECKSUM = 0x03

/** @example proxyHeaderReader().push(Buffer.from('PROXY TCP4 192.0.2.1 192.0.2.2 1000 25\r\n')) */
export function proxyHeaderReader(): ProxyHeaderReader {
  let bytes: Buffer = Buffer.alloc(0)
  return {
    push(chunk): 'more' | ProxyHeader | ProxyHeaderProblem {
      bytes = bytes.length === 0 ? Buffer.from(chunk) : Buffer.concat([bytes, chunk])
      if (begins(bytes, V2)) return bytes.length < V2_FIXED ? 'more' : versionTwo(bytes)
      if (begins(bytes, V1)) return versionOne(bytes)
      return problem('no PROXY header')
    },
  }
}

/** Whether the bytes are the signature, or may still become it. */
function begins(bytes: Buffer, signature: Buffer): boolean {
  const length = Math.min(bytes.length, signature.length)
  return bytes.compare(signature, 0, length, 0, length) === 0
}

function versionOne(bytes: Buffer): 'more' | ProxyHeader | ProxyHeaderProblem {
  const end = bytes.subarray(0, LONGEST_V1).indexOf('\r\n')
  if (end < 0) return bytes.length < LONGEST_V1 ? 'more' : problem('the PROXY header is too long')
  const rest = bytes.subarray(end + 2)
  const words = bytes.toString('latin1', V1.length, end).split(' ')
  const [family, from = '', to = '', fromPort = '', toPort = ''] = words
  if (family === 'UNKNOWN') return { kind: 'local', rest }
  if ((family !== 'TCP4' && family !== 'TCP6') || words.length !== 5) return problem('the PROXY header is malformed')
  // A colon tells the families apart; that both are addresses is checked below.
  const wrongFamily = [from, to].some((address) => address.includes(':') !== (family === 'TCP6'))
  const client = wrongFamily ? undefined : peer(from, portNumber(fromPort))
  const server = peer(to, portNumber(toPort))
  if (client === undefined || server === undefined) return problem('the PROXY header has no proper address')
  return { kind: 'proxied', client, server, rest }
}

function versionTwo(bytes: Buffer): 'more' | ProxyHeader | ProxyHeaderProblem {
  const command = bytes[12]!
  const family = bytes[13]!
  const length = bytes.readUInt16BE(14)
  if (command !== 0x20 && command !== 0x21) return problem('the PROXY header has an unknown version or command')
  if (length > LONGEST_V2) return problem('the PROXY header is too long')
  const end = V2_FIXED + length
  if (bytes.length < end) return 'more'
  const body = bytes.subarray(V2_FIXED, end)
  const rest = bytes.subarray(end)
  if (command === 0x20) return { kind: 'local', rest }
  if (family !== 0x00 && !isSound(bytes.subarray(0, end), ADDRESSES[family] ?? body.length)) {
    return problem('the PROXY header is malformed')
  }
  switch (family) {
    case 0x11:
      return addressed(body, 4, rest)
    case 0x21:
      return addressed(body, 16, rest)
    case 0x31:
    case 0x00:
      // Of no family: whatever follows is to be ignored.
      return { kind: 'local', rest }
    default:
      return problem('the PROXY header is of no stream we know')
  }
}

function addressed(body: Buffer, width: 4 | 16, rest: Buffer): ProxyHeader | ProxyHeaderProblem {
  const client = peer(addressText(body.subarray(0, width)), body.readUInt16BE(2 * width))
  const server = peer(addressText(body.subarray(width, 2 * width)), body.readUInt16BE(2 * width + 2))
  if (client === undefined || server === undefined) return problem('the PROXY header has no proper address')
  return { kind: 'proxied', client, server, rest }
}

/** Whether the addresses are there, the TLVs behind them end where the header does, and a checksum among them is right. */
function isSound(header: Buffer, addresses: number): boolean {
  let at = V2_FIXED + addresses
  while (at + 3 <= header.length) {
    const next = at + 3 + header.readUInt16BE(at + 1)
    if (header[at] === CHECKSUM && next <= header.length && !isRight(header, at + 3, next)) return false
    at = next
  }
  return at === header.length
}

/** The sum is over the whole header, with zeros where it stands itself. */
function isRight(header: Buffer, start: number, end: number): boolean {
  if (end - start !== 4) return false
  return crc32c(Buffer.from(header).fill(0, start, end)) === header.readUInt32BE(start)
}

function addressText(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.')
  return Array.from({ length: 8 }, (_, group) => bytes.readUInt16BE(2 * group).toString(16)).join(':')
}

function peer(text: string, port: number): Peer | undefined {
  const address = canonicalAddress(text)
  return address === undefined || Number.isNaN(port) ? undefined : { address, port }
}

function portNumber(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN
  return port <= 65_535 ? port : Number.NaN
}

function problem(text: string): ProxyHeaderProblem {
  return { kind: 'problem', problem: text }
}
