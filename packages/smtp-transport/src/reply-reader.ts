/**
 * Reads a server's replies from bytes as they arrive (RFC 5321 §4.2): several in one chunk, one in several chunks,
 * multi-line ones. Lenient about a missing CR, strict about everything else: what is no reply is `garbage`, and the
 * connection is of no use after it. Holds at most one unfinished line and one unfinished reply, both limited.
 */

/** A server's reply, verbatim. */
export interface ServerReply {
  readonly code: number
  /** The text of each line, without code and separator. */
  readonly lines: readonly string[]
}

/** Longer than the 512 octets of RFC 5321 §4.5.3.1.5: servers put whole URLs into one line. */
export const MAX_REPLY_LINE = 2_048
export const MAX_REPLY_LINES = 128

const NOTHING: Buffer = Buffer.alloc(0)
const LF = 10
const CR = 13
const SPACE = 32
const HYPHEN = 45
const ZERO = 48

export class ReplyReader {
  #bytes: Buffer = NOTHING
  #at = 0
  /** Code and lines of a multi-line reply that is not finished. */
  #code = 0
  #lines: string[] = []

  /** Whether bytes were received that make no complete reply yet, or a reply nobody has taken. */
  get pending(): boolean {
    return this.#at < this.#bytes.length || this.#lines.length > 0
  }

  /** Takes what has arrived. Call `next` until it has no more. */
  push(chunk: Uint8Array): void {
    const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    this.#bytes = this.#at < this.#bytes.length ? Buffer.concat([this.#bytes.subarray(this.#at), bytes]) : bytes
    this.#at = 0
  }

  /** The next complete reply; undefined until more has arrived. */
  next(): ServerReply | 'garbage' | undefined {
    for (;;) {
      const bytes = this.#bytes
      const start = this.#at
      const lf = bytes.indexOf(LF, start)
      if (lf < 0) return bytes.length - start > MAX_REPLY_LINE ? 'garbage' : undefined
      this.#at = lf + 1
      const end = lf > start && bytes[lf - 1] === CR ? lf - 1 : lf
      if (end - start > MAX_REPLY_LINE) return 'garbage'

      const code = replyCode(bytes, start, end)
      const separator = end === start + 3 ? SPACE : bytes[start + 3]
      if (code === 0 || (separator !== SPACE && separator !== HYPHEN)) return 'garbage'
      if (this.#lines.length > 0 && code !== this.#code) return 'garbage'
      const text = end > start + 4 ? bytes.toString('utf8', start + 4, end) : ''

      if (separator === SPACE && this.#lines.length === 0) return { code, lines: [text] }
      this.#lines.push(text)
      if (separator === SPACE) {
        const lines = this.#lines
        this.#lines = []
        return { code, lines }
      }
      if (this.#lines.length > MAX_REPLY_LINES) return 'garbage'
      this.#code = code
    }
  }
}

/** 200 to 599, or 0 for what is no reply code. */
function replyCode(bytes: Buffer, start: number, end: number): number {
  if (end < start + 3) return 0
  const first = bytes[start]! - ZERO
  const second = bytes[start + 1]! - ZERO
  const third = bytes[start + 2]! - ZERO
  if (first < 2 || first > 5 || second < 0 || second > 9 || third < 0 || third > 9) return 0
  return first * 100 + second * 10 + third
}
