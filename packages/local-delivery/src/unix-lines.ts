/** Mail as programs of Unix expect it: lines end in LF. A CR that ends no line stays. */

const CR = 13
const LF = 10

/** The same bytes with each CRLF as LF, also where the two come apart. */
export async function* bareLineFeeds(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let heldBack = false
  for await (const chunk of chunks) {
    if (chunk.length === 0) continue
    const bytes = Buffer.allocUnsafe(chunk.length + 1)
    let length = 0
    if (heldBack && chunk[0] !== LF) bytes[length++] = CR
    heldBack = chunk.at(-1) === CR
    const end = heldBack ? chunk.length - 1 : chunk.length
    for (let at = 0; at < end; at++) {
      if (chunk[at] !== CR || chunk[at + 1] !== LF) bytes[length++] = chunk[at]!
    }
    yield bytes.subarray(0, length)
  }
  if (heldBack) yield Buffer.from([CR])
}
