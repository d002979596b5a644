/** Writing a message into an open file. */
import type { FileHandle } from 'node:fs/promises'
import { type Call, MailwrightError, type MessageSource } from '@mailwright/core'

/**
 * Writes `head` and the source's body. Rejects with the file system's error, and with `ERR_MAILWRIGHT_STORE` when the body is
 * not as long as was said.
 */
export async function writeMessage(
  file: FileHandle,
  head: Uint8Array,
  source: MessageSource,
  call: Call,
): Promise<void> {
  if (source.buffered !== undefined) return writeAll(file, Buffer.concat([head, source.buffered]))
  await writeAll(file, head)
  for await (const chunk of wholeBody(source, call)) await writeAll(file, chunk)
}

/** The body, which must be as long as was said. */
export async function* wholeBody(source: MessageSource, call: Call): AsyncGenerator<Uint8Array> {
  let size = source.head.length
  for await (const chunk of source.body(call)) {
    size += chunk.length
    yield chunk
  }
  if (size !== source.size)
    throw new MailwrightError('ERR_MAILWRIGHT_STORE', `a message of ${source.size} bytes came with ${size}`)
}

/** Writes all of it, however little the system takes at a time. */
export async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at)).bytesWritten
}
