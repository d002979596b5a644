/**
 * The commands of one envelope for one server: MAIL and RCPTs with the parameters the server offers (RFC 1870, 3461,
 * 6152, 6531, 8689). What cannot be sent to this server at all is refused here, before a byte is written.
 *
 * An 8-bit message goes to a server without 8BITMIME as it is, like most of the world does; there is no conversion.
 */
import { domainToASCII } from 'node:url'
import { formatMailbox, type Mailbox, needsSmtpUtf8, type Outcome, type Recipient } from '@mailwright/core'
import type { Capabilities } from './capabilities.ts'
import { failed } from './delivery.ts'
import type { Errand } from './errand.ts'

export interface EnvelopeCommands {
  /** `MAIL FROM:<…>` with parameters and CRLF. */
  readonly mail: string
  /** One `RCPT TO:<…>` with parameters and CRLF for each of `recipients`. */
  readonly rcpts: readonly string[]
  /** Those who can be named to this server, in the order of `rcpts`. */
  readonly recipients: readonly Recipient[]
}

/** What may not stand in a command, whoever made the address: it would end the command or the address. */
const UNSAFE = /[\x00-\x1f\x7f]/
const UNSAFE_DOMAIN = /[\x00-\x20\x7f<>]/
/** A parameter's value as it may stand in a command; one that is not like this is left out. */
const PARAMETER = /^[\x21-\x7e]{1,500}$/
const NON_ASCII = /[^\x00-\x7f]/

/**
 * The commands for an errand, or the outcome for all recipients when the server cannot be sent this message.
 * Recipients that cannot be named get their outcome recorded and are left out.
 */
export function envelopeCommands(
  errand: Errand,
  offered: Capabilities,
  security: 'clear' | 'encrypted' | 'verified',
): EnvelopeCommands | Outcome {
  const { envelope, message } = errand.job
  const { options, sender } = envelope
  if (offered.size !== undefined && offered.size > 0 && message.size > offered.size) {
    return failed(552, '5.3.4', `message of ${message.size} bytes exceeds the server's limit of ${offered.size}`)
  }
  if (options.body === 'binarymime') return failed(554, '5.6.3', 'binary content cannot be sent to this server')
  if (options.requireTls === true && (security !== 'verified' || !offered.requireTls)) {
    return failed(550, '5.7.30', 'the sender demands TLS that this server does not provide')
  }

  const utf8 = offered.smtpUtf8 && (options.smtputf8 === true || anyUtf8(sender, errand.recipients))
  const from = sender === null ? '' : pathOf(sender, 'sender', utf8)
  if (typeof from !== 'string') return from

  let mail = `MAIL FROM:<${from}>`
  if (offered.size !== undefined) mail += ` SIZE=${message.size}`
  if (options.body === '8bitmime' && offered.eightBitMime) mail += ' BODY=8BITMIME'
  if (utf8) mail += ' SMTPUTF8'
  if (options.requireTls === true) mail += ' REQUIRETLS'
  if (offered.dsn && options.ret !== undefined) mail += options.ret === 'full' ? ' RET=FULL' : ' RET=HDRS'
  if (offered.dsn && options.envid !== undefined && PARAMETER.test(options.envid)) mail += ` ENVID=${options.envid}`

  const rcpts: string[] = []
  const recipients: Recipient[] = []
  for (const recipient of errand.recipients) {
    const command = rcptCommand(recipient, offered, utf8)
    if (typeof command === 'string') {
      rcpts.push(command)
      recipients.push(recipient)
    } else errand.record(recipient, command)
  }
  return { mail: `${mail}\r\n`, rcpts, recipients }
}

function rcptCommand(recipient: Recipient, offered: Capabilities, utf8: boolean): string | Outcome {
  const to = pathOf(recipient.address, 'recipient', utf8)
  if (typeof to !== 'string') return to
  let command = `RCPT TO:<${to}>`
  if (offered.dsn && recipient.notify !== undefined && recipient.notify.length > 0) {
    command += ` NOTIFY=${recipient.notify.join(',').toUpperCase()}`
  }
  if (offered.dsn && recipient.orcpt !== undefined && PARAMETER.test(recipient.orcpt)) {
    command += ` ORCPT=${recipient.orcpt}`
  }
  return `${command}\r\n`
}

/** The address as it stands between the angle brackets; without SMTPUTF8 the domain in A-labels. */
function pathOf(mailbox: Mailbox, role: 'sender' | 'recipient', utf8: boolean): string | Outcome {
  const { local, domain } = mailbox
  if (UNSAFE_DOMAIN.test(domain) || UNSAFE.test(local)) return unwritable(role)
  if (utf8 || !needsSmtpUtf8(mailbox)) return formatMailbox(mailbox)
  if (NON_ASCII.test(local)) {
    return failed(553, '5.6.7', `the ${role} address needs SMTPUTF8, which the server does not offer`)
  }
  const ascii = domainToASCII(domain)
  return ascii === '' ? unwritable(role) : formatMailbox({ local, domain: ascii })
}

function unwritable(role: 'sender' | 'recipient'): Outcome {
  return failed(553, role === 'sender' ? '5.1.7' : '5.1.3', `the ${role} address cannot be written in a command`)
}

function anyUtf8(sender: Mailbox | null, recipients: readonly Recipient[]): boolean {
  return (sender !== null && needsSmtpUtf8(sender)) || recipients.some((recipient) => needsSmtpUtf8(recipient.address))
}
