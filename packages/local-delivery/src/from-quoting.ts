/** Lines of an mbox: one that begins with `From ` would begin a message, so it gets a `>` in front (mbox, RFC 4155 appendix A). */

const LF = 10
const GREATER = Buffer.from('>')
const FROM = Buffer.from('From ')

/** The same bytes, lines ended by LF, with `From ` at the start of a line as `>From `, also where that comes in pieces. */
export async function* fromQuoted(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  /** How much of `From ` has come since the line began; -1 in the middle of another line. */
  let seen = 0
  for await (const chunk of chunks) {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    let start = 0
    for (let at = 0; at < bytes.length; ) {
      if (seen < 0) {
        const end = bytes.indexOf(LF, at)
        if (end < 0) break
        seen = 0
        at = end + 1
        continue
      }
      const byte = bytes[at]!
      if (byte === FROM[seen]) {
        seen += 1
        at += 1
        if (seen < FROM.length) continue
        seen = -1
        // What of it came in earlier chunks is held back until now.
        const begin = at - FROM.length
        if (begin > start) yield bytes.subarray(start, begin)
        yield GREATER
        yield FROM
        start = at
        continue
      }
      // Another line after all: what was held back of it goes first.
      if (at < seen) yield FROM.subarray(0, seen - at)
      seen = byte === LF ? 0 : -1
      at += 1
    }
    const held = Math.max(seen, 0)
    const end = bytes.length - Math.min(held, bytes.length)
    if (end > start) yield bytes.subarray(start, end)
  }
  if (seen > 0) yield FROM.subarray(0, seen)
}
