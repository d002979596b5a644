/**
 * The sender a message leaves with: its own, or with VERP one that names the recipient, so that the address a bounce
 * comes to says whom it is about. The queue keeps the message under its own sender; the other is made for each attempt,
 * and notices of ours go there too.
 */
import type { Claim, DeliveryJob, Envelope, Mailbox } from '@mailwright/core'
import { type VerpStyle, verpAddress } from '@mailwright/message'

export interface VerpOptions extends VerpStyle {
  /** Which mail, e.g. that of one sender or with a label. Asked again for each attempt. Default all that has a sender. */
  readonly when?: (mail: Pick<Envelope, 'sender' | 'options'>) => boolean
}

/** The options, after a check of what would throw with every message. */
export function checkedVerp(options: VerpOptions): VerpOptions {
  verpAddress({ local: 'sender', domain: 'example' }, { local: 'recipient', domain: 'example' }, options)
  return options
}

/** Whether this mail gets a sender for each recipient, and so an entry. */
export function isVerp(verp: VerpOptions | undefined, mail: Pick<Envelope, 'sender' | 'options'>): boolean {
  return verp !== undefined && mail.sender !== null && verp.when?.(mail) !== false
}

/** The sender for an attempt at this entry. */
export function senderOf(verp: VerpOptions | undefined, { entry, options }: Claim): Mailbox | null {
  const { sender, recipients } = entry
  if (verp === undefined || sender === null || recipients.length !== 1) return sender
  if (!isVerp(verp, { sender, options })) return sender
  return verpAddress(sender, recipients[0]!.original, verp) ?? sender
}

/** The envelope of an attempt. */
export function envelopeOf(verp: VerpOptions | undefined, claim: Claim): DeliveryJob['envelope'] {
  return { sender: senderOf(verp, claim), recipients: claim.entry.recipients, options: claim.options }
}
