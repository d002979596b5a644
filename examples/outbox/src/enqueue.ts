/** Mail written by the program itself, into the queue, as part of a transaction of the program's own. */
import { formatMailbox, idMaker, laneKey, type Mailbox, type MessageId, systemClock, systemRandom } from 'mailwright'
import { insertMail } from './mail-rows.ts'
import type { Transaction } from './outbox.ts'

export interface Mail {
  readonly from: Mailbox
  readonly to: readonly [Mailbox, ...Mailbox[]]
  /** One line. */
  readonly subject: string
  /** Lines of plain text. */
  readonly text: string
}

const clock = systemClock()
const ids = idMaker(clock, systemRandom())

/**
 * Puts mail into the queue when the transaction is committed, and not at all otherwise. Each recipient's domain is asked
 * for its mail exchangers when it is sent.
 *
 * @throws TypeError for a subject of several lines.
 * @example
 * transact(outbox, (tx) => enqueue(tx, { from, to: [customer], subject: 'Your order', text: 'Thank you.' }))
 */
export function enqueue(tx: Transaction, mail: Mail): MessageId {
  const id = ids.next()
  const arrivedAt = clock.now()
  const byLane = Map.groupBy(
    mail.to.map((address, index) => ({ id: index + 1, address, original: address })),
    ({ address }) => laneKey({ transport: 'smtp', destination: address.domain.toLowerCase() }),
  )
  const entries = [...byLane].map(([lane, recipients]) => ({ lane, recipients, dueAt: arrivedAt }))
  const message = { id, sender: mail.from, options: { body: '8bitmime' as const }, arrivedAt, entries }
  insertMail(tx.db, message, headOf(id, arrivedAt, mail), Buffer.from(mail.text.replace(/\r?\n/g, '\r\n')))
  tx.afterCommit(tx.mailArrived)
  return id
}

function headOf(id: MessageId, at: number, { from, to, subject }: Mail): Uint8Array {
  if (/[\r\n]/.test(subject)) throw new TypeError('a subject is one line')
  const fields = [
    `Date: ${new Date(at).toUTCString().replace('GMT', '+0000')}`,
    `From: <${formatMailbox(from)}>`,
    `To: ${to.map((address) => `<${formatMailbox(address)}>`).join(',\r\n ')}`,
    `Message-ID: <${id}@${from.domain}>`,
    `Subject: ${encoded(subject)}`,
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: 8bit',
  ]
  return Buffer.from(`${fields.join('\r\n')}\r\n\r\n`)
}

/** A header is ASCII; other text is encoded (RFC 2047), in words of at most 75 characters. */
function encoded(text: string): string {
  if (/^[ -~]*$/.test(text)) return text
  const words = text.match(/.{1,10}/gu) ?? []
  return words.map((word) => `=?utf-8?B?${Buffer.from(word).toString('base64')}?=`).join('\r\n ')
}
