/** Splits what a client sends into command lines and messages, for the scripted MX. Messages are dot-unstuffed. */

export interface MessageReader {
  push(bytes: Uint8Array): void
  /** Bytes heard and not yet taken. */
  readonly waiting: number
  /** The next command line without its line end, if it has arrived. */
  line(): string | undefined
  /** The next message up to the final dot, if it has arrived; only `CRLF . CRLF` ends one. */
  message(): Buffer | undefined
  /** So many bytes as they are, if they have arrived. */
  bytes(count: number): Buffer | undefined
  /** Forgets what is waiting, as STARTTLS demands. */
  clear(): void
}

const END = Buffer.from('\r\n.\r\n')
const LINE_WITH_DOT = Buffer.from('\r\n.')
const DOT = 0x2e

/** An empty reader. */
export function messageReader(): MessageReader {
  /** Doubles when it is full, so that a large message in small pieces is not copied again with each of them. */
  let room: Buffer = Buffer.alloc(4_096)
  let start = 0
  let end = 0
  /** How far it is known that no message ends. */
  let searched = 0

  function take(length: number): Buffer {
    const taken = Buffer.from(room.subarray(start, start + length))
    start += length
    searched = start
    return taken
  }

  return {
    push(bytes: Uint8Array): void {
      if (end + bytes.length > room.length) {
        const waiting = room.subarray(start, end)
        room = Buffer.alloc(Math.max(4_096, 2 * (waiting.length + bytes.length)))
        waiting.copy(room)
        searched -= start
        end -= start
        start = 0
      }
      room.set(bytes, end)
      end += bytes.length
    },
    get waiting(): number {
      return end - start
    },
    line(): string | undefined {
      const lineEnd = room.subarray(0, end).indexOf('\n', start)
      if (lineEnd < 0) return undefined
      const line = take(lineEnd + 1 - start).toString()
      return line.replace(/\r?\n$/, '')
    },
    message(): Buffer | undefined {
      const heard = room.subarray(0, end)
      if (heard.subarray(start, start + 3).equals(END.subarray(2))) {
        take(3)
        return Buffer.alloc(0)
      }
      const at = heard.indexOf(END, searched)
      if (at < 0) {
        searched = Math.max(start, end - END.length + 1)
        return undefined
      }
      const stuffed = take(at + 2 - start)
      take(3)
      return unstuffed(stuffed)
    },
    bytes: (count: number): Buffer | undefined => (end - start < count ? undefined : take(count)),
    clear(): void {
      start = 0
      end = 0
      searched = 0
    },
  }
}

function unstuffed(bytes: Buffer): Buffer {
  const parts: Buffer[] = []
  let from = bytes[0] === DOT ? 1 : 0
  for (let at = bytes.indexOf(LINE_WITH_DOT); at >= 0; at = bytes.indexOf(LINE_WITH_DOT, at + 3)) {
    parts.push(bytes.subarray(from, at + 2))
    from = at + 3
  }
  parts.push(bytes.subarray(from))
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
}
