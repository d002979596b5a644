/**
 * Transparency for receiving (RFC 5321 §4.5.2): finds the end of the data and takes the doubled dots out.
 *
 * The data ends at `CRLF . CRLF` and nowhere else, and a dot is taken out after CRLF and nowhere else: `LF . LF`,
 * `CR . CR` and their mixtures are text, so that no sender can hide a second message in a first one. The result does
 * not depend on how the bytes are cut. Nothing here fails; bare CR and LF pass, for `lineGuard` to judge.
 */
import { asBuffer, CR, DOT, LF } from './bytes.ts'

const LINE_WITH_DOT = Buffer.from('\r\n.')
const HELD_CR = Buffer.from('\r')

export interface DotUnstuffer {
  /**
   * Takes the next bytes and emits the message in them, at most twice; what is emitted shares memory with `chunk`
   * unless a dot had to go. Returns the index just after the end of data, or -1 when it has not come. What follows the
   * end is the client's next command. Not to be fed again after the end: each message has its own.
   */
  feed(chunk: Uint8Array, emit: (data: Uint8Array) => void): number
}

/** What came last. `dot` and `dot-cr` are held back: they are the end of data or, without the dot, text. */
type Last = 'text' | 'cr' | 'crlf' | 'dot' | 'dot-cr'

/**
 * @example
 * const data = dotUnstuffer()
 * const end = data.feed(chunk, (bytes) => sink.write(bytes))
 * if (end >= 0) rest = chunk.subarray(end)
 */
export function dotUnstuffer(): DotUnstuffer {
  let last: Last = 'crlf'
  return {
    feed(chunk: Uint8Array, emit: (data: Uint8Array) => void): number {
      const bytes = asBuffer(chunk)
      const size = bytes.length
      let at = 0
      let start = 0
      let packed: Buffer | undefined
      let packedSize = 0
      const pack = (end: number): void => {
        if (end <= start) return
        packed ??= Buffer.allocUnsafe(size)
        packedSize += bytes.copy(packed, packedSize, start, end)
      }
      while (at < size) {
        if (last === 'text') {
          const line = bytes.indexOf(LINE_WITH_DOT, at)
          if (line < 0) {
            last = lineStateAtEnd(bytes, at)
            break
          }
          pack(line + 2)
          at = start = line + 3
          last = 'dot'
          continue
        }
        const byte = bytes[at]
        if (last === 'crlf') {
          if (byte === DOT) {
            pack(at)
            start = at + 1
            last = 'dot'
          } else last = byte === CR ? 'cr' : 'text'
          at++
        } else if (last === 'cr') {
          last = byte === LF ? 'crlf' : byte === CR ? 'cr' : 'text'
          at++
        } else if (last === 'dot') {
          if (byte === CR) {
            last = 'dot-cr'
            at++
          } else last = 'text'
        } else if (byte === LF) {
          if (packed !== undefined) emit(packed.subarray(0, packedSize))
          return at + 1
        } else {
          // The CR is text after all. It is still in `bytes`, unless it came at the end of the chunk before.
          if (at === 0) emit(HELD_CR)
          last = 'cr'
        }
      }
      const end = last === 'dot-cr' ? start : size
      if (packed === undefined) {
        if (end > start) emit(start === 0 && end === size ? bytes : bytes.subarray(start, end))
      } else {
        pack(end)
        emit(packed.subarray(0, packedSize))
      }
      return -1
    },
  }
}

/** What the chunk ends in, where nothing before `from` matters. */
function lineStateAtEnd(bytes: Buffer, from: number): Last {
  const end = bytes.length
  if (bytes[end - 1] === CR) return 'cr'
  return bytes[end - 1] === LF && end - 2 >= from && bytes[end - 2] === CR ? 'crlf' : 'text'
}
