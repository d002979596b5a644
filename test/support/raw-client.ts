/**
 * A client that may behave as badly as it likes: it sends any bytes at any time, and leaves as rudely as it wants.
 * It waits for a reply or for the end of the connection, whichever comes first, and never throws because of the wire.
 */
import type { Socket } from 'node:net'
import type { Wire } from '@mailwright/core'

/** How a client goes: with FIN, at once, or with a reset. */
export type Farewell = 'end' | 'destroy' | 'reset'

export interface RawClient {
  readonly wire: Wire
  /** Everything the server has said. */
  readonly said: string
  /** The codes of the replies so far, those of a multi-line reply once: `220 250 354`. */
  readonly codes: string
  /** Whether the server has ended the connection, or it broke. */
  readonly over: boolean
  send(bytes: string | Uint8Array): void
  /** Sends, and waits until the network has taken it. False when the connection is over. */
  pour(bytes: string | Uint8Array): Promise<boolean>
  /** The next whole reply, all of its lines; undefined when the connection ended first. */
  reply(): Promise<string | undefined>
  /** Resolves when the server has ended the connection, or it broke. */
  ended(): Promise<void>
  leave(how: Farewell): void
}

const REPLY = /^(?:\d{3}-[^\r\n]*\r\n)*\d{3} [^\r\n]*\r\n/

/** Takes a connected wire over. */
export function rawClient(wire: Wire): RawClient {
  const waiting: (() => void)[] = []
  let said = ''
  let read = 0
  let over = false
  const wake = (): void => {
    for (const each of waiting.splice(0)) each()
  }
  const end = (): void => {
    over = true
    wake()
  }
  wire.on('data', (bytes: Buffer) => {
    said += bytes.toString('latin1')
    wake()
  })
  wire.on('error', end)
  wire.on('end', end)
  wire.on('close', end)
  const change = (): Promise<void> => new Promise((resolve) => waiting.push(resolve))

  return {
    wire,
    get said(): string {
      return said
    },
    get codes(): string {
      return (said.match(/^\d{3}(?= )/gm) ?? []).join(' ')
    },
    get over(): boolean {
      return over
    },
    send(bytes: string | Uint8Array): void {
      if (!wire.destroyed && wire.writable) wire.write(bytes)
    },
    async pour(bytes: string | Uint8Array): Promise<boolean> {
      if (over || wire.destroyed || !wire.writable) return false
      return new Promise((resolve) => wire.write(bytes, (error) => resolve(!error && !over)))
    },
    async reply(): Promise<string | undefined> {
      for (;;) {
        const reply = REPLY.exec(said.slice(read))?.[0]
        if (reply !== undefined) {
          read += reply.length
          return reply
        }
        if (over) return undefined
        await change()
      }
    },
    async ended(): Promise<void> {
      while (!over) await change()
    },
    leave(how: Farewell): void {
      if (how === 'end') wire.end()
      else if (how === 'destroy') wire.destroy()
      else (wire as Socket).resetAndDestroy()
    },
  }
}
