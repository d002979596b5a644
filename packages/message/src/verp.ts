/**
 * Variable envelope return paths: a sender address that says which recipient a message was for, so that a bounce tells
 * by where it goes whom it is about, however garbled it is: `bounces+user=example.com@sender.example`.
 *
 * With a secret the address carries a mark that nobody else can make, so a forged bounce shows. A recipient for whom the
 * local part would pass 64 octets (RFC 5321 §4.5.3.1.1) has no such address. Marks do not expire.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { type Mailbox, MailwrightError, mailboxKey, parseMailbox } from '@mailwright/core'

export interface VerpStyle {
  /** Between the sender's own local part and the recipient: one of `+`, `-`, `_`, `=`, `#`, `.`. Default `+`. */
  readonly delimiter?: string | undefined
  /** Signs addresses, and makes `parseVerp` refuse those not signed with it. At least 16 characters; default none. */
  readonly secret?: string | undefined
}

/** What an address made by `verpAddress` says. */
export interface VerpReading {
  readonly sender: Mailbox
  readonly recipient: Mailbox
  /** Whether it was signed, with the secret given. */
  readonly signed: boolean
}

const LONGEST_LOCAL = 64
/** 50 bits of the mark: enough against guessing by mail. Lower case, because some servers fold local parts. */
const MARK_LENGTH = 10
const MARK_DIGITS = 'abcdefghijklmnopqrstuvwxyz234567'

/**
 * The sender's address for mail to this recipient; undefined when there is none: it would be too long, or the sender's
 * local part has the delimiter itself.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for a style that cannot work.
 * @example
 * verpAddress(bounces, ann) // bounces+ann=example.com@sender.example
 */
export function verpAddress(sender: Mailbox, recipient: Mailbox, style: VerpStyle = {}): Mailbox | undefined {
  const delimiter = delimiterOf(style)
  if (sender.local.includes(delimiter) || recipient.domain === '' || sender.domain === '') return undefined
  const plain = `${sender.local}${delimiter}${recipient.local}=${recipient.domain}`
  const mark = style.secret === undefined ? '' : `${delimiter}${markOf(sender, recipient, style.secret)}`
  const local = plain + mark
  return Buffer.byteLength(local) > LONGEST_LOCAL ? undefined : { local, domain: sender.domain }
}

/**
 * Reads an address made by `verpAddress` in the same style. Undefined for any other address, and with a secret for one
 * whose mark is missing or wrong.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for a style that cannot work.
 * @example
 * parseVerp(job.envelope.recipients[0].original)?.recipient // ann@example.com
 */
export function parseVerp(address: Mailbox, style: VerpStyle = {}): VerpReading | undefined {
  const delimiter = delimiterOf(style)
  const from = address.local.indexOf(delimiter)
  if (from < 1) return undefined
  const sender = { local: address.local.slice(0, from), domain: address.domain }
  const rest = address.local.slice(from + 1)
  const { secret } = style
  if (secret === undefined) {
    const recipient = recipientOf(rest)
    return recipient && { sender, recipient, signed: false }
  }
  const recipient = rest.at(-MARK_LENGTH - 1) === delimiter ? recipientOf(rest.slice(0, -MARK_LENGTH - 1)) : undefined
  if (recipient === undefined) return undefined
  const genuine = isSame(rest.slice(-MARK_LENGTH).toLowerCase(), markOf(sender, recipient, secret))
  return genuine ? { sender, recipient, signed: true } : undefined
}

/** `user=example.com`: no domain has an equals sign, while local parts may. */
function recipientOf(text: string): Mailbox | undefined {
  const equals = text.lastIndexOf('=')
  if (equals < 1) return undefined
  const local = text.slice(0, equals)
  // Whatever the local part is, it was unquoted when it was put here.
  const domain = parseMailbox(`x@${text.slice(equals + 1)}`)?.domain
  return domain === undefined || /[\p{Cc}]/u.test(local) ? undefined : { local, domain }
}

function markOf(sender: Mailbox, recipient: Mailbox, secret: string): string {
  const digest = createHmac('sha256', secret)
    .update(`${mailboxKey(sender)}\0${mailboxKey(recipient)}`)
    .digest()
  let mark = ''
  for (let at = 0; at < MARK_LENGTH; at++) mark += MARK_DIGITS[digest[at]! % 32]!
  return mark
}

function isSame(given: string, expected: string): boolean {
  const [one, other] = [Buffer.from(given), Buffer.from(expected)]
  return one.length === other.length && timingSafeEqual(one, other)
}

function delimiterOf({ delimiter = '+', secret }: VerpStyle): string {
  if (!/^[+\-_=#.]$/.test(delimiter))
    throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `not a delimiter for return paths: ${delimiter}`)
  if (secret !== undefined && secret.length < 16)
    throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', 'the secret of return paths is shorter than 16 characters')
  return delimiter
}
