/**
 * Changes to a head (RFC 5322 §2.2, §2.2.3). Every function makes a new head and leaves the old one as it is; the body
 * is never looked at. A name or value that could end its line is refused: no input can add a field of its own.
 * A head without its empty line is given one, so that a body put behind it stays a body.
 */
import { type Edit, MailwrightError } from '@mailwright/core'
import { asBuffer } from './bytes.ts'
import { emptyLineAt, fieldEnd, valueStart } from './head.ts'

/** Lines are folded to this many characters where the value has blanks to fold at (RFC 5322 §2.1.1). */
const LINE = 78

/**
 * A field as it stands in a head: `Name: value`, folded, with its CRLF. A value that is folded already is folded anew.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` when name or value would break the line they stand in.
 * @example
 * headerField('X-Spam', 'no') // 'X-Spam: no\r\n'
 */
export function headerField(name: string, value: string): string {
  if (!/^[!-9;-~]+$/.test(name)) throw broken(`not the name of a header field: ${JSON.stringify(name)}`)
  const unfolded = (/[\r\n]/.test(value) ? value.replace(/\r\n(?=[ \t])/g, '') : value).trim()
  if (/[\r\n\0]/.test(unfolded)) throw broken(`a line break in the value of ${name}`)
  const line = `${name}: ${unfolded}`
  return line.length <= LINE ? `${line}\r\n` : `${fold(line, name.length + 2)}\r\n`
}

/** Breaks before blanks that follow text, so that no line is empty or blank. A word longer than a line stays whole. */
function fold(line: string, valueAt: number): string {
  const lines: string[] = []
  let start = 0
  let candidate = -1
  for (const blanks of line.slice(valueAt).matchAll(/[ \t]+/g)) {
    const at = valueAt + blanks.index
    if (at - start > LINE && candidate > start) {
      lines.push(line.slice(start, candidate))
      start = candidate
    }
    candidate = at
  }
  if (line.length - start > LINE && candidate > start) {
    lines.push(line.slice(start, candidate))
    start = candidate
  }
  lines.push(line.slice(start))
  return lines.join('\r\n')
}

/**
 * A new head with `fields` on top. They must be whole fields, as `headerField` or `receivedField` make them.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` when `fields` does not end in CRLF.
 */
export function prependToHead(head: Uint8Array, fields: string): Uint8Array {
  if (!fields.endsWith('\r\n')) throw broken('fields without their final CRLF')
  const missing = missingEnd(head)
  const length = Buffer.byteLength(fields)
  const edited = Buffer.allocUnsafe(length + head.length + missing.length)
  edited.write(fields, 0)
  edited.set(head, length)
  if (missing !== '') edited.write(missing, length + head.length, 'latin1')
  return edited
}

/**
 * Applies header edits in order: each sees the work of those before it. A prepended field comes to stand at the top, an
 * appended one at the end; a removal takes every field of that name. Recipients and labels are no matter of the head
 * and are passed over. Returns the same head when nothing changes.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` as `headerField` does; nothing is then changed.
 */
export function applyEdits(head: Uint8Array, edits: readonly Edit[]): Uint8Array {
  let top: Added[] = []
  let bottom: Added[] = []
  const removed = new Set<string>()
  for (const edit of edits) {
    if (edit.edit === 'add-recipient' || edit.edit === 'label') continue
    const name = edit.name.toLowerCase()
    if (edit.edit === 'remove-header') {
      headerField(edit.name, '')
      removed.add(name)
      top = top.filter((added) => added.name !== name)
      bottom = bottom.filter((added) => added.name !== name)
    } else {
      const added = { name, text: headerField(edit.name, edit.value) }
      if (edit.edit === 'prepend-header') top.unshift(added)
      else bottom.push(added)
    }
  }
  const kept = removed.size === 0 ? head : withoutFields(head, removed)
  const withBottom = bottom.length === 0 ? kept : appendToHead(kept, textOf(bottom))
  return top.length === 0 ? withBottom : prependToHead(withBottom, textOf(top))
}

interface Added {
  readonly name: string
  readonly text: string
}

function textOf(added: readonly Added[]): string {
  return added.map((field) => field.text).join('')
}

/** Puts fields before the empty line. */
function appendToHead(head: Uint8Array, fields: string): Uint8Array {
  const whole = Buffer.concat([head, Buffer.from(missingEnd(head), 'latin1')])
  const end = whole.length - 2
  return Buffer.concat([whole.subarray(0, end), Buffer.from(fields), whole.subarray(end)])
}

function withoutFields(head: Uint8Array, names: ReadonlySet<string>): Uint8Array {
  const buffer = asBuffer(head)
  const kept: Uint8Array[] = []
  let from = 0
  let start = 0
  while (start < buffer.length && !emptyLineAt(buffer, start)) {
    const end = fieldEnd(buffer, start)
    if (hasNameOf(buffer, start, names)) {
      kept.push(buffer.subarray(from, start))
      from = end
    }
    start = end
  }
  if (from === 0) return head
  kept.push(buffer.subarray(from))
  return Buffer.concat(kept)
}

function hasNameOf(head: Buffer, start: number, names: ReadonlySet<string>): boolean {
  for (const name of names) if (valueStart(head, start, name) >= 0) return true
  return false
}

/** What a head lacks of its last CRLF and its empty line. */
function missingEnd(head: Uint8Array): string {
  const end = head.length
  if (end === 0) return '\r\n'
  if (head[end - 1] !== 10 || head[end - 2] !== 13) return '\r\n\r\n'
  if (end === 2 || (head[end - 3] === 10 && head[end - 4] === 13)) return ''
  return '\r\n'
}

function broken(problem: string): MailwrightError {
  return new MailwrightError('ERR_MAILWRIGHT_CONFIG', problem)
}
