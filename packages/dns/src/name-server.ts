/** A name server's address, and the port by which it is asked: sockets in production, anything in tests. */
import { type Call, MailwrightError, parseAddress } from '@mailwright/core'

export interface NameServer {
  /** An IP address. */
  readonly host: string
  readonly port: number
}

/**
 * One question to one server by one way. Calls `receive` for each datagram or message that comes, until that accepts
 * one, and resolves then. Rejects when the signal aborts or the way breaks.
 */
export type Exchange = (
  server: NameServer,
  question: Uint8Array,
  way: 'udp' | 'tcp',
  receive: (bytes: Uint8Array) => 'accepted' | 'ignored',
  call: Call,
) => Promise<void>

/** Reads `192.0.2.1`, `192.0.2.1:5353`, `2001:db8::1` or `[2001:db8::1]:5353`. */
export function parseNameServer(text: string): NameServer {
  const match = /^\[([^\]]+)\](?::(\d{1,5}))?$/.exec(text) ?? /^([\d.]+)(?::(\d{1,5}))?$/.exec(text) ?? [text, text]
  const [, host = '', port = '53'] = match
  if (parseAddress(host) === undefined || Number(port) < 1 || Number(port) > 65_535)
    throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `not the address of a name server: ${text}`)
  return { host, port: Number(port) }
}
