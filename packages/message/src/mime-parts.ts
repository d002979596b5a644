/**
 * The parts of a message, as far as reading a report takes (RFC 2045, RFC 2046): multiparts are opened, everything else
 * is a leaf with its transfer encoding undone. An enclosed message stays closed: what is in it is not said by who sent
 * the outer one.
 *
 * Total: whatever the input, there is an answer, and it costs no more than the input is long times the depth. What is
 * past the limits is left out. Not a MIME reader for anything else: no character sets, no RFC 2231, no comments.
 */
import { asBuffer } from './bytes.ts'
import { fieldValue, headLength } from './head.ts'
import { lineNormalizer } from './line-ends.ts'

export interface MimePart {
  /** Lower case, without parameters; `text/plain` where nothing readable says what it is. */
  readonly type: string
  /** The boundary, where it has one. */
  readonly boundary: string | undefined
  readonly head: Uint8Array
  /** With CRLF line ends. */
  readonly content: Buffer
}

const MOST_PARTS = 100
const DEEPEST = 5
/** As much of a message as is read: whatever a report has to say comes before what it returns. */
const LONGEST = 1_048_576

/** The leaves of a message, from the top. Beyond 1 MiB, 100 parts, or 5 multiparts in each other nothing is read. */
export function leafParts(message: Uint8Array): readonly MimePart[] {
  const leaves: MimePart[] = []
  open(normalized(message.subarray(0, LONGEST)), 0, leaves)
  return leaves
}

function open(bytes: Buffer, depth: number, leaves: MimePart[]): void {
  const part = partOf(bytes)
  if (!part.type.startsWith('multipart/') || part.boundary === undefined) {
    if (leaves.length < MOST_PARTS) leaves.push({ ...part, content: decoded(part) })
    return
  }
  if (depth >= DEEPEST) return
  for (const section of sections(part.content, part.boundary)) open(section, depth + 1, leaves)
}

/** A part that begins with text has no head, and is text. */
function partOf(bytes: Buffer): MimePart {
  const end = headLength(bytes)
  const head = end < 0 ? bytes : bytes.subarray(0, end)
  const declared = fieldValue(head, 'Content-Type') ?? ''
  const type = /^\s*([\w.+-]+\/[\w.+-]+)/.exec(declared)?.[1]?.toLowerCase() ?? 'text/plain'
  const boundary = /;\s*boundary\s*=\s*(?:"([^"]{1,200})"|([^\s";]{1,200}))/i.exec(declared)
  return { type, boundary: boundary?.[1] ?? boundary?.[2], head, content: bytes.subarray(head.length) }
}

/** What stands between the lines of a boundary. The last one may lack its end. */
function* sections(content: Buffer, boundary: string): Iterable<Buffer> {
  const delimiter = Buffer.from(`--${boundary}`)
  let start = -1
  let count = 0
  for (let at = content.indexOf(delimiter); at >= 0 && count <= MOST_PARTS; at = content.indexOf(delimiter, at + 1)) {
    if (at > 0 && content[at - 1] !== 10) continue
    const after = content.toString('latin1', at + delimiter.length, at + delimiter.length + 2)
    // Another boundary, which begins like this one.
    if (after !== '' && after !== '--' && !/^[\r\t ]/.test(after)) continue
    if (start >= 0) yield content.subarray(start, Math.max(start, at - 2))
    count++
    const lineEnd = content.indexOf(10, at)
    if (after === '--' || lineEnd < 0) return
    start = lineEnd + 1
  }
  if (start >= 0 && count <= MOST_PARTS) yield content.subarray(start)
}

function decoded({ head, content }: MimePart): Buffer {
  const encoding = fieldValue(head, 'Content-Transfer-Encoding')?.toLowerCase()
  if (encoding === 'base64') return normalized(Buffer.from(content.toString('latin1'), 'base64'))
  return encoding === 'quoted-printable' ? normalized(unquoted(content)) : content
}

function unquoted(content: Buffer): Buffer {
  let text = ''
  for (const line of content.toString('latin1').split('\r\n')) {
    const trimmed = line.trimEnd()
    text += trimmed.endsWith('=') ? trimmed.slice(0, -1) : `${trimmed}\r\n`
  }
  return Buffer.from(
    text.replace(/=([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  )
}

function normalized(bytes: Uint8Array): Buffer {
  return asBuffer(lineNormalizer().push(bytes))
}
