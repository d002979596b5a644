/**
 * The header block of a message, read in place (RFC 5322 §2.2). Nothing here fails: a line that is no header field is
 * passed over, and stays in the bytes. Encoded words (RFC 2047) and the structure of values are not interpreted.
 */
import { asBuffer, COLON, CR, LF, SPACE, TAB } from './bytes.ts'

export interface Field {
  /** As written: `Message-Id` stays `Message-Id`. */
  readonly name: string
  /** The whole field with its folding, without the final CRLF. */
  readonly raw: string
  /** What follows the colon, unfolded and trimmed. */
  readonly value: string
}

const END_OF_HEAD = Buffer.from('\r\n\r\n')

/**
 * The length in bytes of the header block including the empty line that ends it, or -1 when no empty line has come
 * yet. 0 when the first line is no header field: such a message is all body.
 *
 * @example
 * headLength(Buffer.from('Subject: hi\r\n\r\nHello\r\n')) // 15
 */
export function headLength(bytes: Uint8Array): number {
  if (bytes[0] === CR && bytes[1] === LF) return 2
  const buffer = asBuffer(bytes)
  const end = buffer.indexOf(END_OF_HEAD)
  if (startsWithoutHeader(buffer)) return 0
  return end < 0 ? -1 : end + 4
}

/** Whether the first line is complete and is neither a field nor the `From ` line of a mailbox file. */
function startsWithoutHeader(head: Buffer): boolean {
  if (nameEnd(head, 0) >= 0) return false
  const end = head.indexOf(LF)
  if (end < 0) return false
  return !/^>?From /.test(head.toString('latin1', 0, Math.min(end, 6)))
}

/**
 * Every field of the head, from the top. Bytes that are no UTF-8 appear as U+FFFD: to change a head, use `applyEdits`.
 *
 * @example
 * for (const field of fields(source.head)) count.set(field.name.toLowerCase(), …)
 */
export function fields(head: Uint8Array): readonly Field[] {
  const buffer = asBuffer(head)
  const found: Field[] = []
  for (let start = 0; start < buffer.length && !emptyLineAt(buffer, start); ) {
    const end = fieldEnd(buffer, start)
    const colon = nameEnd(buffer, start)
    if (colon >= 0) {
      const raw = buffer.toString('utf8', start, lineTextEnd(buffer, start, end))
      const name = raw.slice(0, colon - start)
      found.push({ name, raw, value: unfold(raw.slice(raw.indexOf(':') + 1)) })
    }
    start = end
  }
  return found
}

/**
 * The value of the first field of that name, unfolded and trimmed; undefined when there is none. Names are compared
 * without case. Reads no further than that field.
 *
 * @example
 * fieldValue(source.head, 'Message-ID') // '<1@example.org>'
 */
export function fieldValue(head: Uint8Array, name: string): string | undefined {
  const buffer = asBuffer(head)
  for (let start = 0; start < buffer.length && !emptyLineAt(buffer, start); ) {
    const end = fieldEnd(buffer, start)
    const colon = valueStart(buffer, start, name)
    if (colon >= 0) return unfold(buffer.toString('utf8', colon, end))
    start = end
  }
  return undefined
}

/** How many fields of that name the head has. Names are compared without case. */
export function countFields(head: Uint8Array, name: string): number {
  const buffer = asBuffer(head)
  let count = 0
  for (let start = 0; start < buffer.length && !emptyLineAt(buffer, start); start = fieldEnd(buffer, start)) {
    if (valueStart(buffer, start, name) >= 0) count++
  }
  return count
}

/** Where the field that begins at `start` ends: after its CRLF, and after the lines that continue it. */
export function fieldEnd(head: Buffer, start: number): number {
  for (let from = start; ; ) {
    const line = head.indexOf(LF, from)
    if (line < 0) return head.length
    const following = head[line + 1]
    if (following !== SPACE && following !== TAB) return line + 1
    from = line + 1
  }
}

/** Whether the empty line that ends the head is at `start`. */
export function emptyLineAt(head: Uint8Array, start: number): boolean {
  return head[start] === LF || (head[start] === CR && head[start + 1] === LF)
}

/** Where the value of the field at `start` begins, if the field has this name; else -1. */
export function valueStart(head: Uint8Array, start: number, name: string): number {
  for (let at = 0; at < name.length; at++) {
    if (lower(head[start + at]!) !== lower(name.charCodeAt(at))) return -1
  }
  const colon = skipBlanks(head, start + name.length)
  return head[colon] === COLON ? colon + 1 : -1
}

/** Where the name of the field at `start` ends, or -1 when there is no field (RFC 5322 §2.2, and obs-optional §4.5). */
function nameEnd(head: Uint8Array, start: number): number {
  let at = start
  while (at < head.length && head[at]! > SPACE && head[at]! < 127 && head[at] !== COLON) at++
  return at > start && head[skipBlanks(head, at)] === COLON ? at : -1
}

function skipBlanks(head: Uint8Array, start: number): number {
  let at = start
  while (head[at] === SPACE || head[at] === TAB) at++
  return at
}

function lineTextEnd(head: Uint8Array, start: number, end: number): number {
  let at = end
  if (at > start && head[at - 1] === LF) at--
  if (at > start && head[at - 1] === CR) at--
  return at
}

function lower(byte: number): number {
  return byte >= 65 && byte <= 90 ? byte + 32 : byte
}

function unfold(text: string): string {
  return text.replace(/\r?\n(?=[ \t])/g, '').trim()
}
