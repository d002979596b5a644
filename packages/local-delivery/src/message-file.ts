/** Writing a message into an open file. */
import type { FileHandle } from 'node:fs/promises'
import type { Call, MessageSource } from '@mailwright/core'
import { wholeBody } from '@mailwright/message'

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

/** Writes all of it, however little the system takes at a time. */
export async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at)).bytesWritten
}
