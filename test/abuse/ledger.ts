/**
 * What clients were promised, and what came of it. A message is promised when its client has read the 250 after the
 * final dot; it must then arrive, whole. One whose client did not hear the answer may arrive or not.
 * A byte per message: the books must not grow like a leak.
 */
import { type DeliveryJob, type Random, reply, sameOutcome, type Transport } from '@mailwright/core'
import { readLetter, writeLetter } from '../support/letter.ts'

const PROMISED = 1
const ARRIVED = 2

export interface Letter {
  readonly number: number
  readonly bytes: Buffer
}

export interface Ledger {
  /** A mailbox of the server's: where everything ends up. Now and then it asks for another try. */
  readonly mailbox: Transport
  /** Of 100 deliveries, how many are asked to come again. */
  deferrals: number
  readonly promised: number
  readonly arrived: number
  /** Deliveries to recipients of messages. */
  readonly deliveries: number
  /** Deliveries of what no client ever sent whole. */
  readonly corrupt: number
  write(bodySize: number): Letter
  promise(letter: Letter): void
  /** Promised messages that have not arrived. */
  missing(): readonly number[]
}

/** Opens the books. */
export function ledger(random: Random, deferrals = 0): Ledger {
  const states = new Uint8Array(1_000_000)
  let letters = 0
  let promised = 0
  let arrived = 0
  let deliveries = 0
  let corrupt = 0

  async function wholeMessage(job: DeliveryJob, signal: AbortSignal): Promise<Buffer> {
    const { message } = job
    const chunks: Uint8Array[] = [message.head]
    if (message.buffered !== undefined) chunks.push(message.buffered)
    else for await (const chunk of message.body({ signal })) chunks.push(chunk)
    return Buffer.concat(chunks)
  }

  const books: Ledger = {
    deferrals,
    mailbox: {
      name: 'mailbox',
      async deliver(job, call) {
        if (random.float() * 100 < books.deferrals)
          return sameOutcome(job.envelope, {
            status: 'deferred',
            scope: 'message',
            reply: reply(450, '4.2.0', 'not now'),
          })
        const { id, intact } = readLetter(await wholeMessage(job, call.signal))
        const number = Number(/^(\d+)@abuse$/.exec(id ?? '')?.[1] ?? Number.NaN)
        if (!intact || !(number < letters)) corrupt++
        else if ((states[number]! & ARRIVED) === 0) {
          states[number]! |= ARRIVED
          arrived++
        }
        deliveries += job.envelope.recipients.length
        return sameOutcome(job.envelope, {
          status: 'ok',
          action: 'delivered',
          reply: reply(250, '2.0.0', 'delivered'),
        })
      },
    },
    get promised(): number {
      return promised
    },
    get arrived(): number {
      return arrived
    },
    get deliveries(): number {
      return deliveries
    },
    get corrupt(): number {
      return corrupt
    },
    write(bodySize: number): Letter {
      const number = letters++
      return { number, bytes: writeLetter(`${number}@abuse`, bodySize, random) }
    },
    promise({ number }: Letter): void {
      states[number]! |= PROMISED
      promised++
    },
    missing(): readonly number[] {
      const missing: number[] = []
      for (let number = 0; number < letters; number++) if (states[number] === PROMISED) missing.push(number)
      return missing
    },
  }
  return books
}
