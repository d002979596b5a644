/** Bodies kept in memory by the memory store: what a spool wrote, and what any other source gives. */
import { type Call, MailwrightError, type MessageSource, type Spool, type SpooledBody } from '@mailwright/core'

/** A place for a body that is nowhere but here. */
export function memorySpool(): Spool {
  let chunks: Uint8Array[] = []
  let size = 0
  let ended = false
  return {
    write(chunk: Uint8Array): void {
      if (ended) throw new MailwrightError('ERR_MAILWRIGHT_STOPPED', 'the spool is finished')
      chunks.push(chunk)
      size += chunk.length
    },
    async finish(): Promise<SpooledBody> {
      ended = true
      return spooledBody(Buffer.concat(chunks, size))
    },
    async abort(): Promise<void> {
      ended = true
      chunks = []
    },
  }
}

function spooledBody(bytes: Uint8Array): SpooledBody {
  return {
    size: bytes.length,
    async *read(call: Call): AsyncGenerator<Uint8Array> {
      call.signal.throwIfAborted()
      if (bytes.length > 0) yield bytes
    },
    // Whoever still holds the bytes may read them; memory has no owner to take them from.
    async discard(): Promise<void> {},
  }
}

/** The same message with its body in memory, whatever becomes of the place it came from. */
export async function holdInMemory(source: MessageSource, call: Call): Promise<MessageSource> {
  if (source.buffered !== undefined) return inMemory(source.head, source.buffered)
  const chunks: Uint8Array[] = []
  for await (const chunk of source.body(call)) chunks.push(chunk)
  return inMemory(source.head, Buffer.concat(chunks))
}

function inMemory(head: Uint8Array, body: Uint8Array): MessageSource {
  return {
    head,
    size: head.length + body.length,
    buffered: body,
    async *body(call: Call): AsyncGenerator<Uint8Array> {
      call.signal.throwIfAborted()
      if (body.length > 0) yield body
    },
  }
}
