/**
 * Line-end rules (RFC 5321 §2.3.8): CR and LF stand only together. Other receivers see line ends in a bare CR or LF,
 * and so an end of data where there is none (SMTP smuggling): the guard finds them, the normalizer takes them away.
 * Both give the same answer however the bytes are cut. Nothing here fails.
 */
import { asBuffer, CR, EMPTY, LF, NUL } from './bytes.ts'

export type LineProblem = 'bare-lf' | 'bare-cr' | 'nul'

export interface LineGuard {
  /** The first problem in these bytes. A CR at their end is judged with what follows. */
  check(chunk: Uint8Array): LineProblem | undefined
  /** No more bytes: what is wrong with a CR still open. */
  end(): LineProblem | undefined
}

/** NUL, CR without LF (at the end it is left open), LF without CR. */
const PROBLEM = /\0|\r(?!\n|$)|(?<!\r)\n/g

/**
 * @example
 * const guard = lineGuard()
 * const problem = guard.check(chunk)
 * if (problem !== undefined) refuse(reply(554, '5.6.0', `message contains a ${problem}`))
 */
export function lineGuard(): LineGuard {
  let openCr = false
  return {
    check(chunk: Uint8Array): LineProblem | undefined {
      const size = chunk.length
      if (size === 0) return undefined
      if (openCr && chunk[0] !== LF) {
        openCr = chunk[size - 1] === CR
        return 'bare-cr'
      }
      const bytes = asBuffer(chunk)
      // A regular expression over Latin-1 text is some three times as fast as a loop over the bytes.
      PROBLEM.lastIndex = openCr ? 1 : 0
      const clean = !PROBLEM.test(bytes.toString('latin1', 0, size))
      openCr = bytes[size - 1] === CR
      return clean ? undefined : problemOf(bytes[PROBLEM.lastIndex - 1])
    },
    end(): LineProblem | undefined {
      return openCr ? 'bare-cr' : undefined
    },
  }
}

function problemOf(byte: number | undefined): LineProblem {
  return byte === LF ? 'bare-lf' : byte === CR ? 'bare-cr' : 'nul'
}

export interface LineNormalizer {
  /** The bytes with every line end a CRLF and without NUL; the same array when they were so already. */
  push(chunk: Uint8Array): Uint8Array
  /** No more bytes. Always empty for now: nothing is held back. */
  end(): Uint8Array
}

/**
 * Makes CRLF of each bare CR and each bare LF, and removes NUL. Does not add a line end to an unfinished last line.
 *
 * @example
 * lineNormalizer().push(Buffer.from('one\ntwo\r')) // 'one\r\ntwo\r\n'
 */
export function lineNormalizer(): LineNormalizer {
  const guard = lineGuard()
  /** A CR ended the last chunk and was written as CRLF: an LF that follows belongs to it. */
  let crWritten = false
  return {
    push(chunk: Uint8Array): Uint8Array {
      if (chunk.length === 0) return chunk
      const clean = guard.check(chunk) === undefined && guard.end() === undefined
      if (clean && !crWritten) return chunk
      const bytes = asBuffer(chunk)
      if (clean) {
        crWritten = false
        return chunk[0] === LF ? bytes.subarray(1) : chunk
      }
      const normalized = normalize(bytes, crWritten)
      crWritten = normalized.endsInCr
      return normalized.bytes
    },
    end(): Uint8Array {
      return EMPTY
    },
  }
}

function normalize(bytes: Buffer, afterCr: boolean): { bytes: Buffer; endsInCr: boolean } {
  const out = Buffer.allocUnsafe(bytes.length * 2)
  let to = 0
  let pendingCr = afterCr
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]!
    if (byte === NUL) continue
    if (byte === CR || (byte === LF && !pendingCr)) {
      out[to++] = CR
      out[to++] = LF
    } else if (byte !== LF) out[to++] = byte
    pendingCr = byte === CR
  }
  return { bytes: out.subarray(0, to), endsInCr: pendingCr }
}
