/**
 * What is sent: the envelope as JSON, and the message as it is; either as two parts of a form, which streams, or as one JSON
 * document with the message in base64, which is easier to read and a third larger.
 */
import { type Call, type DeliveryJob, formatMailbox, type Random } from '@mailwright/core'
import { wholeBody, wholeMessage } from '@mailwright/message'

export type Format = 'multipart' | 'json'

/** A body that can be had more than once: to sign it, and to send it. */
export interface RequestBody {
  readonly contentType: string
  chunks(): AsyncIterable<Uint8Array>
}

/** Most octets of a message that goes as JSON, all of it in memory. */
const JSON_LIMIT = 32 * 1_048_576

/** Makes the body for a job. Rejects with `ERR_MAILWRIGHT_LIMIT` for JSON that would be too large. */
export async function requestBody(format: Format, job: DeliveryJob, random: Random, call: Call): Promise<RequestBody> {
  return format === 'json' ? jsonBody(job, call) : formBody(job, random, call)
}

async function jsonBody(job: DeliveryJob, call: Call): Promise<RequestBody> {
  const message = Buffer.from(await wholeMessage(job.message, call, JSON_LIMIT))
  const text = JSON.stringify({ ...envelopeOf(job), message: message.toString('base64') })
  return { contentType: 'application/json', chunks: () => inOne(Buffer.from(text)) }
}

/** multipart/form-data (RFC 7578). Nobody who writes a message can guess its boundary. */
function formBody(job: DeliveryJob, random: Random, call: Call): RequestBody {
  const boundary = `mailwright-${Buffer.from(random.bytes(16)).toString('hex')}`
  const part = (name: string, more: string, type: string): string =>
    `--${boundary}\r\nContent-Disposition: form-data; name="${name}"${more}\r\nContent-Type: ${type}\r\n\r\n`
  const before = [
    part('envelope', '', 'application/json'),
    JSON.stringify(envelopeOf(job)),
    '\r\n',
    part('message', '; filename="message.eml"', 'message/rfc822'),
  ]
  async function* chunks(): AsyncGenerator<Uint8Array> {
    yield Buffer.concat([Buffer.from(before.join('')), job.message.head])
    if (job.message.buffered !== undefined) yield job.message.buffered
    else yield* wholeBody(job.message, call)
    yield Buffer.from(`\r\n--${boundary}--\r\n`)
  }
  return { contentType: `multipart/form-data; boundary=${boundary}`, chunks }
}

/** What a receiver is told of the envelope. */
function envelopeOf({ id, envelope, message, arrivedAt, attempt }: DeliveryJob): Record<string, unknown> {
  const { sender, recipients, options } = envelope
  return {
    id,
    sender: formatMailbox(sender),
    recipients: recipients.map(({ address, original, orcpt, notify }) => ({
      address: formatMailbox(address),
      original: formatMailbox(original),
      orcpt,
      notify,
    })),
    options,
    size: message.size,
    arrivedAt: new Date(arrivedAt).toISOString(),
    attempt,
  }
}

async function* inOne(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
