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
  /** AUTH= (RFC 4954 §5), decoded: who submitted the message first; '' for `<>`, nobody will say. */
  readonly submitter?: string
  /** MT-PRIORITY (RFC 6710): -9 to 9; 0 is usual. */
  readonly priority?: number
  /** BY (RFC 2852): until when, in ms since the epoch, and what is to happen then. */
  readonly deliverBy?: DeliverBy
  /** HOLDFOR or HOLDUNTIL (RFC 4865): not to be delivered before, in ms since the epoch. */
  readonly notBefore?: number
  /** What the host knows it by, for limits, statistics and operators: tenant, campaign, any key. */
  readonly labels?: Labels
}

/** A few short names and values, e.g. `{ tenant: 'acme', campaign: 'spring-sale' }`. */
export type Labels = Readonly<Record<string, string>>

/** What to do with mail that is not delivered in time (RFC 2852 §4). */
export interface DeliverBy {
  /** ms since the epoch. */
  readonly at: number
  /** `return`: fail it; `notify`: tell the sender it is late, and go on trying. */
  readonly otherwise: 'return' | 'notify'
  /** Whether the sender wants to hear of each relay. */
  readonly trace: boolean
}

export interface Envelope {
  /** `null` is the null sender `<>` of notices, which never bounce. */
  readonly sender: Mailbox | null
  readonly recipients: readonly Recipient[]
  readonly options: MailOptions
}
