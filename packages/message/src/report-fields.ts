/** The fields of machine-readable parts (RFC 3464 §2.1, RFC 5965 §3): in groups, with types before values. */
import { type Mailbox, parseMailbox, wireText } from '@mailwright/core'
import { decodedCodePoints } from './dsn-fields.ts'
import { fields } from './head.ts'

/** A group of fields by lower-case name, each with its values in order. */
export type FieldGroup = ReadonlyMap<string, readonly string[]>

/** The longest value that is kept, in characters. */
const LONGEST = 1_000
const MOST_GROUPS = 1_001
/** As much of a part as is read, in octets. */
const LARGEST = 262_144

/** The groups of a part, which empty lines divide. Lines that are no fields are passed over. */
export function fieldGroups(content: Buffer): readonly FieldGroup[] {
  const groups: FieldGroup[] = []
  for (const text of content.toString('utf8', 0, LARGEST).split(/\r\n(?:[ \t]*\r\n)+/, MOST_GROUPS)) {
    const group = groupOf(text)
    if (group.size > 0) groups.push(group)
  }
  return groups
}

function groupOf(text: string): FieldGroup {
  const group = new Map<string, string[]>()
  for (const { name, value } of fields(Buffer.from(text))) {
    const key = name.toLowerCase()
    const clean = wireText(value).slice(0, LONGEST).toWellFormed()
    const values = group.get(key)
    if (values === undefined) group.set(key, [clean])
    else values.push(clean)
  }
  return group
}

/** The first value of a field; undefined where it is absent or empty. */
export function firstOf(group: FieldGroup | undefined, name: string): string | undefined {
  const value = group?.get(name)?.[0]
  return value === undefined || value === '' ? undefined : value
}

/** `dns; mx.example.org` without its type. */
export function untyped(value: string | undefined): string | undefined {
  return value?.replace(/^[\w-]+\s*;\s*/, '')
}

/** The mailbox in `rfc822; ann@example.org` and what is written like it; undefined where there is none. */
export function reportedMailbox(value: string | undefined): Mailbox | undefined {
  const text = untyped(value)
  if (text === undefined) return undefined
  const bare = /<([^<>]+)>/.exec(text)?.[1] ?? text.replace(/\s.*$/s, '')
  return parseMailbox(decodedCodePoints(bare))
}

/** A date as ms since the epoch. */
export function reportedDate(value: string | undefined): number | undefined {
  const at = value === undefined ? Number.NaN : Date.parse(value.replace(/\s*\([^)]*\)\s*$/, ''))
  return Number.isNaN(at) ? undefined : at
}
