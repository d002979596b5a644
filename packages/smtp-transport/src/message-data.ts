/**
 * A message in memory as it goes over the wire after 354: line ends normalised, dots doubled, the final dot, and behind it the
 * commands of the next envelope (RFC 2920 §3.1), if there is one. Or as one chunk, as it is.
 */
import { dotStuff, lineNormalizer } from '@mailwright/message'
import type { ReplyChannel } from './reply-channel.ts'

/**
 * Up to here a message is copied into one buffer: one copy of a few KB costs less than a gathered write of three
 * chunks, and over TLS it makes one record.
 */
const COPY_LIMIT = 32_768

const CR = 13
const LF = 10

/** Sends a message whose body is in memory, with what follows it, in one write. */
export function sendBuffered(channel: ReplyChannel, head: Uint8Array, body: Uint8Array, behind: string): void {
  const lines = lineNormalizer()
  const first = lines.push(head)
  const second = lines.push(body)
  const stuffedHead = dotStuff(first, 'line-start')
  const stuffedBody = dotStuff(second, endsLine(first) ? 'line-start' : 'mid-line')
  const complete = endsLine(second.length > 0 ? second : first)
  const tail = (complete ? '.\r\n' : '\r\n.\r\n') + behind

  if (stuffedHead.length + stuffedBody.length > COPY_LIMIT) {
    channel.hold()
    channel.send(stuffedHead)
    channel.send(stuffedBody)
    channel.send(tail)
    channel.release()
    return
  }
  const bodyAt = stuffedHead.length
  const tailAt = bodyAt + stuffedBody.length
  const bytes = Buffer.allocUnsafe(tailAt + Buffer.byteLength(tail))
  bytes.set(stuffedHead, 0)
  bytes.set(stuffedBody, bodyAt)
  bytes.write(tail, tailAt)
  channel.send(bytes)
}

/** Sends a message as the one and last chunk of BDAT, byte for byte (RFC 3030 §2), with what follows it. */
export function sendChunk(channel: ReplyChannel, head: Uint8Array, body: Uint8Array, behind: string): void {
  channel.hold()
  channel.send(lastChunk(head.length + body.length))
  channel.send(head)
  channel.send(body)
  channel.send(behind)
  channel.release()
}

/** The command in front of a message sent whole. */
export function lastChunk(size: number): string {
  return `BDAT ${size} LAST\r\n`
}

/** Whether what follows these bytes begins a line. */
function endsLine(bytes: Uint8Array): boolean {
  const size = bytes.length
  return size === 0 || (bytes[size - 1] === LF && bytes[size - 2] === CR)
}
