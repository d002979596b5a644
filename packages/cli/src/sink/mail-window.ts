/**
 * The last messages a sink took, kept in memory for its web page. It is a Transport around another: what the inner one
 * takes is shown. Large messages are shown by their beginning.
 */
import { type DeliveryJob, formatMailbox, type Transport } from '@mailwright/core'
import { fieldValue } from '@mailwright/message'

export interface SeenMail {
  readonly id: string
  readonly at: number
  readonly from: string
  readonly to: readonly string[]
  readonly subject: string
  readonly size: number
  /** The head and the beginning of the body. */
  readonly text: string
}

export interface MailWindow extends Transport {
  /** Newest first. */
  readonly seen: readonly SeenMail[]
}

/** Keeps the last `limit` messages, each with at most `bytes` of its content. */
export function mailWindow(inner: Transport, limit = 200, bytes = 65_536): MailWindow {
  const seen: SeenMail[] = []
  return {
    ...inner,
    name: inner.name,
    seen,
    async deliver(job, call) {
      const outcomes = await inner.deliver(job, call)
      if ([...outcomes.values()].some((outcome) => outcome.status === 'ok')) {
        seen.unshift(await describe(job, call.signal, bytes))
        seen.length = Math.min(seen.length, limit)
      }
      return outcomes
    },
  }
}

async function describe(job: DeliveryJob, signal: AbortSignal, bytes: number): Promise<SeenMail> {
  const { message, envelope } = job
  const parts: Uint8Array[] = [message.head]
  let length = message.head.length
  if (length < bytes) {
    for await (const chunk of message.body({ signal })) {
      parts.push(chunk)
      length += chunk.length
      if (length >= bytes) break
    }
  }
  return {
    id: job.id,
    at: job.arrivedAt,
    from: formatMailbox(envelope.sender),
    to: envelope.recipients.map((recipient) => formatMailbox(recipient.address)),
    subject: fieldValue(message.head, 'Subject') ?? '(no subject)',
    size: message.size,
    text: Buffer.concat(parts).subarray(0, bytes).toString('utf8'),
  }
}
