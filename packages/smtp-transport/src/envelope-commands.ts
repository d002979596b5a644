/**
 * The commands of one envelope for one server: MAIL and RCPTs with the parameters the server offers (RFC 1870, 2852,
 * 3030, 3461, 6152, 6531, 6710, 8689). What cannot be sent to this server at all is refused here, before a byte is written.
 *
 * An 8-bit message goes to a server without 8BITMIME as it is, like most of the world does; there is no conversion.
 */
import { domainToASCII } from 'node:url'
import {
  type Clock,
  type DeliverBy,
  formatMailbox,
  type Mailbox,
  needsSmtpUtf8,
  type Outcome,
  type Recipient,
} from '@mailwright/core'
import type { Capabilities } from './capabilities.ts'
import { failed } from './delivery.ts'
import type { Errand } from './errand.ts'
import type { Security } from './handshake.ts'

export interface EnvelopeCommands {
  /** `MAIL FROM:<…>` with parameters and CRLF. */
  readonly mail: string
  /** One `RCPT TO:<…>` with parameters and CRLF for each of `recipients`. */
  readonly rcpts: readonly string[]
  /** Those who can be named to this server, in the order of `rcpts`. */
  readonly recipients: readonly Recipient[]
  /** How the message is sent: by DATA, or as it is, with its length told before (BDAT, RFC 3030). */
  readonly transfer: 'data' | 'bdat'
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
  security: Security,
  clock: Clock,
): EnvelopeCommands | Outcome {
  const { envelope, message } = errand.job
  const { options, sender } = envelope
  if (offered.size !== undefined && offered.size > 0 && message.size > offered.size) {
    return failed(552, '5.3.4', `message of ${message.size} bytes exceeds the server's limit of ${offered.size}`)
  }
  const binary = options.body === 'binarymime'
  if (binary && !(offered.chunking && offered.binaryMime)) {
    return failed(554, '5.6.3', 'binary content cannot be sent to this server')
  }
  if (options.requireTls === true && security !== 'local' && (security !== 'verified' || !offered.requireTls)) {
    return failed(550, '5.7.30', 'the sender demands TLS that this server does not provide')
  }
  const by = options.deliverBy === undefined ? '' : deliverByParameter(options.deliverBy, offered, clock.now())
  if (typeof by !== 'string') return by

  const utf8 = offered.smtpUtf8 && (options.smtputf8 === true || anyUtf8(sender, errand.recipients))
  const from = sender === null ? '' : pathOf(sender, 'sender', utf8)
  if (typeof from !== 'string') return from

  let mail = `MAIL FROM:<${from}>`
  if (offered.size !== undefined) mail += ` SIZE=${message.size}`
  if (binary) mail += ' BODY=BINARYMIME'
  else if (options.body === '8bitmime' && offered.eightBitMime) mail += ' BODY=8BITMIME'
  if (utf8) mail += ' SMTPUTF8'
  if (options.requireTls === true && offered.requireTls) mail += ' REQUIRETLS'
  if (offered.dsn && options.ret !== undefined) mail += options.ret === 'full' ? ' RET=FULL' : ' RET=HDRS'
  if (offered.dsn && options.envid !== undefined && PARAMETER.test(options.envid)) mail += ` ENVID=${options.envid}`

  if (offered.mtPriority && options.priority !== undefined) mail += priorityParameter(options.priority)
  mail += by

  const rcpts: string[] = []
  const recipients: Recipient[] = []
  for (const recipient of errand.recipients) {
    const command = rcptCommand(recipient, offered, utf8)
    if (typeof command === 'string') {
      rcpts.push(command)
      recipients.push(recipient)
    } else errand.record(recipient, command)
  }
  return { mail: `${mail}\r\n`, rcpts, recipients, transfer: binary ? 'bdat' : 'data' }
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

/** A priority of -9 to 9 (RFC 6710); what is none is left out. */
function priorityParameter(priority: number): string {
  return Number.isInteger(priority) && Math.abs(priority) <= 9 ? ` MT-PRIORITY=${priority}` : ''
}

/** The most seconds that BY can name, either way (RFC 2852 §4). */
const LONGEST_BY_S = 999_999_999

/**
 * What is left of the sender's time. Mail to be returned when that is over goes to nobody who does not promise it, or
 * wants more time than there is; other mail goes on without the parameter.
 */
function deliverByParameter({ at, otherwise, trace }: DeliverBy, offered: Capabilities, now: number): string | Outcome {
  const leftS = Math.max(-LONGEST_BY_S, Math.min(LONGEST_BY_S, Math.floor((at - now) / 1_000)))
  if (otherwise === 'return') {
    if (offered.deliverBy === undefined) {
      return failed(550, '5.3.3', 'the sender wants it delivered by a time, which this server does not promise')
    }
    if (leftS < Math.max(1, offered.deliverBy)) {
      return failed(
        550,
        '5.4.7',
        `the sender wants it delivered within ${leftS} seconds, which this server does not promise`,
      )
    }
  } else if (offered.deliverBy === undefined) return ''
  return ` BY=${leftS};${otherwise === 'return' ? 'R' : 'N'}${trace ? 'T' : ''}`
}
