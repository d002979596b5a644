/** A mail transaction under way: what MAIL said, and who was accepted since. */
import {
  type Mailbox,
  type MailCommand,
  type MailOptions,
  mailboxKey,
  type RcptCommand,
  type Recipient,
  type RecipientId,
  type Transaction,
} from '@mailwright/core'

export class LiveTransaction implements Transaction {
  readonly sender: Mailbox | null
  readonly options: MailOptions
  readonly declaredSize: number | undefined
  readonly recipients: Recipient[] = []
  /** Who was accepted; made when there is a second recipient to compare. */
  #keys: Set<string> | undefined
  #lastId = 0

  constructor(command: MailCommand) {
    this.sender = command.sender
    this.options = command.options
    this.declaredSize = command.declaredSize
  }

  nextId(): RecipientId {
    return ++this.#lastId
  }

  /** Whether the mailbox was accepted already. */
  has(mailbox: Mailbox): boolean {
    if (this.recipients.length === 0) return false
    this.#keys ??= new Set(this.recipients.map(({ address }) => mailboxKey(address)))
    return this.#keys.has(mailboxKey(mailbox))
  }

  /** The recipient a command names, not accepted yet. */
  recipient({ recipient, orcpt, notify }: RcptCommand): Recipient {
    const id = this.nextId()
    if (orcpt === undefined && notify === undefined) return { id, address: recipient, original: recipient }
    return {
      id,
      address: recipient,
      original: recipient,
      ...(orcpt === undefined ? {} : { orcpt }),
      ...(notify === undefined ? {} : { notify }),
    }
  }

  accept(recipient: Recipient): void {
    this.recipients.push(recipient)
    this.#keys?.add(mailboxKey(recipient.address))
  }
}
