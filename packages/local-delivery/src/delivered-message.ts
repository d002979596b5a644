/**
 * A message as its recipient gets it: `Return-Path`, `X-Original-To` and `Delivered-To` on top (RFC 5321 §4.4), and the
 * sign of a loop, when it has been delivered to the same address before (`Delivered-To`, as qmail and Postfix have it).
 */
import {
  type FailedOutcome,
  formatMailbox,
  type Mailbox,
  mailboxKey,
  parseMailbox,
  type Recipient,
  reply,
} from '@mailwright/core'
import { applyEdits, fields, fieldValue } from '@mailwright/message'

/** What becomes of a message that comes round again. */
export const LOOP: FailedOutcome = {
  status: 'failed',
  reply: reply(554, '5.4.6', 'Mail loop: delivered here before'),
}

/** Whether this address is named in a Delivered-To field: then it forwards to itself, by whatever detour. */
export function wasDeliveredTo(address: Mailbox, head: Uint8Array): boolean {
  if (fieldValue(head, 'Delivered-To') === undefined) return false
  const own = mailboxKey(address)
  return fields(head).some((field) => {
    const before = field.name.toLowerCase() === 'delivered-to' ? parseMailbox(field.value) : undefined
    return before !== undefined && mailboxKey(before) === own
  })
}

/** The head with the fields of a final delivery, in the place of any others' Return-Path. */
export function deliveredHead(head: Uint8Array, sender: Mailbox | null, recipient: Recipient): Uint8Array {
  return applyEdits(head, [
    { edit: 'remove-header', name: 'Return-Path' },
    { edit: 'prepend-header', name: 'Delivered-To', value: formatMailbox(recipient.address) },
    { edit: 'prepend-header', name: 'X-Original-To', value: formatMailbox(recipient.original) },
    { edit: 'prepend-header', name: 'Return-Path', value: `<${formatMailbox(sender)}>` },
  ])
}
