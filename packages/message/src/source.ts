/**
 * Messages in memory as `MessageSource`s, and ways to read one. Head and body are shared, never copied.
 * Reading rejects when the signal aborts or when a limit is passed; a limit is the caller's promise of how much memory
 * a message may take.
 */
import { type Call, MailwrightError, type MessageSource } from '@mailwright/core'
import { EMPTY } from './bytes.ts'
import { headLength } from './head.ts'

/** A message whose head and body are in memory. The source owns both from now on. */
export function memorySource(head: Uint8Array, body: Uint8Array): MessageSource {
  return {
    head,
    size: head.length + body.length,
    buffered: body,
    async *body(call: Call): AsyncIterable<Uint8Array> {
      call.signal.throwIfAborted()
      if (body.length > 0) yield body
    },
  }
}

/**
 * A message in one piece. Without an empty line all of it is head; without a header all of it is body.
 *
 * @example
 * messageSource(Buffer.from('Subject: hi\r\n\r\nHello\r\n'))
 */
export function messageSource(bytes: Uint8Array): MessageSource {
  const end = headLength(bytes)
  return end < 0 ? memorySource(bytes, EMPTY) : memorySource(bytes.subarray(0, end), bytes.subarray(end))
}

/** The same body under another head. */
export function withHead(source: MessageSource, head: Uint8Array): MessageSource {
  return {
    head,
    size: source.size - source.head.length + head.length,
    buffered: source.buffered,
    spooled: source.spooled,
    body: (call) => source.body(call),
  }
}

/**
 * The whole body, at most `limit` bytes of it.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_LIMIT` when there is more, before it is read where the size tells.
 */
export async function readBody(source: MessageSource, call: Call, limit: number): Promise<Uint8Array> {
  if (source.size - source.head.length > limit) throw tooLarge(limit)
  if (source.buffered !== undefined) return source.buffered
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of source.body(call)) {
    size += chunk.length
    if (size > limit) throw tooLarge(limit)
    chunks.push(chunk)
  }
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, size)
}

/**
 * Head and body in one piece, at most `limit` bytes together.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_LIMIT` when there is more.
 */
export async function wholeMessage(source: MessageSource, call: Call, limit: number): Promise<Uint8Array> {
  if (source.head.length > limit) throw tooLarge(limit)
  const body = await readBody(source, call, limit - source.head.length)
  return Buffer.concat([source.head, body])
}

/**
 * Head and body in one piece, as far as the first `limit` bytes go: for readers who need no more.
 *
 * @example
 * const report = parseDsn(await firstBytes(job.message, call, 1_048_576))
 */
export async function firstBytes(source: MessageSource, call: Call, limit: number): Promise<Uint8Array> {
  if (source.buffered !== undefined) return Buffer.concat([source.head, source.buffered]).subarray(0, limit)
  const chunks: Uint8Array[] = [source.head]
  let size = source.head.length
  if (size < limit) {
    for await (const chunk of source.body(call)) {
      chunks.push(chunk)
      size += chunk.length
      if (size >= limit) break
    }
  }
  return Buffer.concat(chunks, size).subarray(0, limit)
}

function tooLarge(limit: number): MailwrightError {
  return new MailwrightError('ERR_MAILWRIGHT_LIMIT', `the message is larger than ${limit} bytes`)
}
