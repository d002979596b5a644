/** A spool in memory that remembers what was done to it, and fails or waits where a test says so. */
import type { Awaitable, Call, Spool, SpooledBody } from '@mailwright/core'

export interface FakeSpool extends Spool {
  /** What was written. */
  readonly text: string
  readonly state: 'open' | 'finished' | 'aborted' | 'discarded'
}

export interface SpoolScript {
  readonly write?: (chunk: Uint8Array) => Awaitable<void>
  readonly finish?: () => Awaitable<void>
}

export function fakeSpool(script: SpoolScript = {}): FakeSpool {
  const chunks: Uint8Array[] = []
  let state: FakeSpool['state'] = 'open'
  const body = (): SpooledBody => ({
    size: Buffer.concat(chunks).length,
    async *read(call: Call): AsyncGenerator<Uint8Array> {
      call.signal.throwIfAborted()
      yield Buffer.concat(chunks)
    },
    async discard(): Promise<void> {
      state = 'discarded'
    },
  })
  return {
    get text(): string {
      return Buffer.concat(chunks).toString()
    },
    get state(): FakeSpool['state'] {
      return state
    },
    write(chunk): Awaitable<void> {
      chunks.push(chunk)
      return script.write?.(chunk)
    },
    async finish(): Promise<SpooledBody> {
      await script.finish?.()
      state = 'finished'
      return body()
    },
    async abort(): Promise<void> {
      state = 'aborted'
    },
  }
}
