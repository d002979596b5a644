/** The mailboxes of the second server, as its local transport: one is full at first, one is closed for good. */
import {
  type Call,
  type DeliveryJob,
  formatMailbox,
  type Outcome,
  type RecipientId,
  type Transport,
} from '@mailwright/core'
import { wholeMessage } from '@mailwright/message'
import { deferred, delivered, failed } from '@mailwright/testing'
import { type Life, never } from './life.ts'

export interface LocalDelivery {
  readonly job: DeliveryJob
  readonly recipient: string
  readonly bytes: Uint8Array
}

export interface MailroomOptions {
  readonly life: Life
  /** How many attempts the full mailbox stays full. */
  readonly patience: number
  readonly arrived: (delivery: LocalDelivery) => void
}

const MOST_BYTES = 1_000_000

export function mailroom({ life, patience, arrived }: MailroomOptions): Transport {
  function outcomeFor(job: DeliveryJob, recipient: string, bytes: Uint8Array): Outcome {
    if (recipient.startsWith('full@') && job.attempt <= patience) return deferred('452 4.2.2 mailbox full')
    if (recipient.startsWith('barred@')) return failed('550 5.2.1 mailbox closed')
    arrived({ job, recipient, bytes })
    return delivered()
  }
  return {
    name: 'local',
    async deliver(job: DeliveryJob, call: Call): Promise<ReadonlyMap<RecipientId, Outcome>> {
      const bytes = await wholeMessage(job.message, call, MOST_BYTES)
      if (!life.alive) return never()
      return new Map(
        job.envelope.recipients.map(({ id, address }) => [id, outcomeFor(job, formatMailbox(address), bytes)]),
      )
    },
  }
}
