/** A body that arrives for a database row: it is kept in memory, because it leaves it as one value anyway. */
import { type Call, MailwrightError, type MessageSource, type Spool, type SpooledBody } from 'mailwright'

export function bodySpool(): Spool {
  let chunks: Uint8Array[] = []
  let state: 'open' | 'over' = 'open'
  return {
    write(chunk): void {
      if (state === 'over') throw new MailwrightError('ERR_MAILWRIGHT_STOPPED', 'the spool is finished')
      chunks.push(chunk)
    },
    async finish(): Promise<SpooledBody> {
      state = 'over'
      const bytes = Buffer.concat(chunks)
      return {
        size: bytes.length,
        async *read(call): AsyncGenerator<Uint8Array> {
          call.signal.throwIfAborted()
          if (bytes.length > 0) yield bytes
        },
        discard: async () => undefined,
      }
    },
    async abort(): Promise<void> {
      state = 'over'
      chunks = []
    },
  }
}

/** The whole body of a message. */
export async function wholeBody(source: MessageSource, call: Call): Promise<Uint8Array> {
  if (source.buffered !== undefined) return source.buffered
  const chunks: Uint8Array[] = []
  for await (const chunk of source.body(call)) chunks.push(chunk)
  return Buffer.concat(chunks)
}
