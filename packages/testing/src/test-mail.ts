/** Mail to try things with. */
import {
  type Call,
  type DeliveryJob,
  type Lane,
  type Mailbox,
  type MailOptions,
  MailwrightError,
  type MessageSource,
  parseMailbox,
  type Recipient,
} from '@mailwright/core'

/** The mailbox of an address. Throws for anything that is none: a test's typo must not become a null. */
export function mailbox(address: string): Mailbox {
  const parsed = parseMailbox(address)
  if (parsed === undefined) throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `not a mailbox: ${address}`)
  return parsed
}

/** Recipients numbered from 1. */
export function recipients(...addresses: readonly string[]): Recipient[] {
  return addresses.map((address, index) => ({ id: index + 1, address: mailbox(address), original: mailbox(address) }))
}

/** A message from text: line breaks become CRLF, the head ends at the first empty line. In memory. */
export function testMessage(text = 'Subject: test\n\nHello\n'): MessageSource {
  const bytes = Buffer.from(text.replace(/\r?\n/g, '\r\n'))
  const gap = bytes.indexOf('\r\n\r\n')
  const end = gap < 0 ? bytes.length : gap + 4
  const body = bytes.subarray(end)
  return {
    head: bytes.subarray(0, end),
    size: bytes.length,
    buffered: body,
    async *body(call: Call): AsyncGenerator<Uint8Array> {
      call.signal.throwIfAborted()
      yield body
    },
  }
}

export interface TestJob {
  readonly id?: string
  /** Default `sender@example.net`; empty or null is the null sender. */
  readonly sender?: string | null
  /** Default one: `ann@example.org`. */
  readonly to?: readonly string[]
  readonly message?: MessageSource
  readonly options?: MailOptions
  readonly lane?: Lane
  readonly attempt?: number
  readonly arrivedAt?: number
}

/**
 * A job for a transport.
 *
 * @example
 * await transport.deliver(testJob({ to: ['ann@example.org', 'bob@example.org'] }), call)
 */
export function testJob(given: TestJob = {}): DeliveryJob {
  const sender = given.sender === undefined ? 'sender@example.net' : given.sender
  return {
    id: given.id ?? '01test0000000001',
    envelope: {
      sender: sender === null || sender === '' ? null : mailbox(sender),
      recipients: recipients(...(given.to ?? ['ann@example.org'])),
      options: given.options ?? {},
    },
    message: given.message ?? testMessage(),
    arrivedAt: given.arrivedAt ?? Date.UTC(2026, 0, 1),
    attempt: given.attempt ?? 1,
    ...(given.lane === undefined ? {} : { lane: given.lane }),
  }
}
