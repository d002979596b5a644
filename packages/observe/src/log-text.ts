/**
 * Text from outside made fit for one line of a plain-text log: nothing in it can begin a line or a colour of its own,
 * and it has a greatest length. Logs in JSON need only the length: JSON escapes the rest.
 */
import { formatMailbox, type Mailbox, type Recipient } from '@mailwright/core'

/** Everything some log reader may take for the end of a line, or a terminal for a command. */
const UNPRINTABLE = /[\x00-\x1f\x7f-\x9f\u2028\u2029]/g
const LONGEST_TEXT = 1_000
const MOST_ADDRESSES = 10

/**
 * The text with each control character and line separator as `?`, cut after 1,000 characters.
 *
 * @example
 * printable('ann\r\nbob') // 'ann??bob'
 */
export function printable(text: string): string {
  return shortened(text).replace(UNPRINTABLE, '?')
}

/** The text, cut after 1,000 characters. */
export function shortened(text: string): string {
  return text.length <= LONGEST_TEXT ? text : `${text.slice(0, LONGEST_TEXT)}...`
}

/** The address as it stands between angle brackets. `null` is the null sender: ''. */
export function addressText(mailbox: Mailbox | null): string {
  return printable(formatMailbox(mailbox))
}

/**
 * The addresses of the recipients: all of them up to ten, otherwise ten and how many more.
 *
 * @example
 * addressList(recipients) // 'ann@example.org, bob@example.org'
 */
export function addressList(recipients: readonly Recipient[]): string {
  if (recipients.length === 1) return formatMailbox(recipients[0]!.address)
  let text = ''
  for (let index = 0; index < recipients.length; index++) {
    if (index === MOST_ADDRESSES) return `${text} and ${recipients.length - MOST_ADDRESSES} more`
    text += (index === 0 ? '' : ', ') + formatMailbox(recipients[index]!.address)
  }
  return text
}
