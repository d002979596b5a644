/** The envelope: what SMTP says about a message, as against what its header says (RFC 5321 §2.3.1). */
import type { Mailbox } from './mailbox.ts'

/** Identifies a recipient within its message. Assigned once at RCPT; survives retries and rewriting; never reused. */
export type RecipientId = number

/** Identifies a message: unique, sorts by time of arrival, safe as a file name. */
export type MessageId = string

/** When the sender wants to hear about a recipient (RFC 3461 §4.1). */
export type Notify = 'never' | 'success' | 'failure' | 'delay'

/** One recipient of one message. */
export interface Recipient {
  readonly id: RecipientId
  /** Where it goes now. */
  readonly address: Mailbox
  /** What the client said. */
  readonly original: Mailbox
  /** ORCPT as given, still encoded: `rfc822;ann@example.org` (RFC 3461 §4.2). */
  readonly orcpt?: string
  readonly notify?: readonly Notify[]
}

/** The parameters of MAIL that travel with a message. */
export interface MailOptions {
  /** BODY (RFC 6152). Absent means 7BIT or unstated. */
  readonly body?: '7bit' | '8bitmime' | 'binarymime'
  readonly smtputf8?: boolean
  readonly requireTls?: boolean
  /** RET (RFC 3461 §4.3): how much of the message a failure notice returns. */
  readonly ret?: 'full' | 'hdrs'
  /** ENVID (RFC 3461 §4.4), still encoded as xtext. */
  readonly envid?: string
}

export interface Envelope {
  /** `null` is the null sender `<>` of notices, which never bounce. */
  readonly sender: Mailbox | null
  readonly recipients: readonly Recipient[]
  readonly options: MailOptions
}
