/**
 * Transparency for sending (RFC 5321 §4.5.2): a dot at the start of a line is doubled, and `CRLF . CRLF` ends the data.
 * A line starts after CRLF and nowhere else; a body with bare CR or LF goes through `lineNormalizer` first, since a
 * lax receiver might see line ends in it. Nothing here fails.
 */
import { asBuffer, CR, DOT, LF } from './bytes.ts'

const LINE_WITH_DOT = Buffer.from('\r\n.')
const END = Buffer.from('.\r\n')
const END_AFTER_TEXT = Buffer.from('\r\n.\r\n')

/**
 * Doubles the dots that begin lines. Returns the same array when there are none.
 * `mid-line`: the bytes before these did not end in CRLF. For bytes cut anywhere, use `dotStuffer`.
 */
export function dotStuff(bytes: Uint8Array, atLineStart: 'line-start' | 'mid-line'): Uint8Array {
  return stuffed(asBuffer(bytes), atLineStart === 'line-start' && bytes[0] === DOT ? 0 : -1) ?? bytes
}

/** Stuffs a body that comes in pieces, however it is cut. */
export interface DotStuffer {
  /** The piece, stuffed; the same array when there is nothing to stuff. */
  push(chunk: Uint8Array): Uint8Array
  /** What ends the data: `.\r\n`, or `\r\n.\r\n` when the body does not end in CRLF. */
  end(): Uint8Array
}

/**
 * @example
 * const stuffer = dotStuffer()
 * for await (const chunk of source.body(call)) await send(stuffer.push(chunk))
 * await send(stuffer.end())
 */
export function dotStuffer(): DotStuffer {
  let before: 'text' | 'cr' | 'line-start' = 'line-start'
  return {
    push(chunk: Uint8Array): Uint8Array {
      if (chunk.length === 0) return chunk
      let first = -1
      if (before === 'line-start' && chunk[0] === DOT) first = 0
      else if (before === 'cr' && chunk[0] === LF && chunk[1] === DOT) first = 1
      const last = chunk[chunk.length - 1]
      if (last === CR) before = 'cr'
      else if (last === LF && (chunk.length === 1 ? before === 'cr' : chunk[chunk.length - 2] === CR))
        before = 'line-start'
      else before = 'text'
      return stuffed(asBuffer(chunk), first) ?? chunk
    },
    end(): Uint8Array {
      return before === 'line-start' ? END : END_AFTER_TEXT
    },
  }
}

/** Doubles the dot at `first`, if it is one, and every dot after CRLF. Undefined when there are none. */
function stuffed(bytes: Buffer, first: number): Buffer | undefined {
  let next = bytes.indexOf(LINE_WITH_DOT)
  if (next < 0 && first < 0) return undefined
  const dots = first < 0 ? [] : [first]
  for (; next >= 0; next = bytes.indexOf(LINE_WITH_DOT, next + 3)) dots.push(next + 2)
  const out = Buffer.allocUnsafe(bytes.length + dots.length)
  let from = 0
  let to = 0
  for (const dot of dots) {
    // Up to and with the dot; the next copy starts at the same dot again.
    to += bytes.copy(out, to, from, dot + 1)
    from = dot
  }
  bytes.copy(out, to, from)
  return out
}
