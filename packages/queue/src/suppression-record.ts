/**
 * A line of a suppression file: one JSON object, for an address that is suppressed or, with `removed`, not any more. The
 * last line about an address counts.
 */
import { formatMailbox, type Mailbox, parseMailbox, type Suppression } from '@mailwright/core'

export type SuppressionRecord = { readonly set: Suppression } | { readonly removed: Mailbox }

const CAUSES: ReadonlySet<unknown> = new Set<Suppression['cause']>(['bounce', 'complaint', 'unsubscribe', 'operator'])
/** The longest reason that is kept. */
const KEPT_REASON = 500

export function suppressionLine({ address, cause, reason, since, until }: Suppression): string {
  const kept = reason.slice(0, KEPT_REASON).toWellFormed()
  return `${JSON.stringify({ address: formatMailbox(address), cause, reason: kept, since, until })}\n`
}

export function removalLine(address: Mailbox): string {
  return `${JSON.stringify({ address: formatMailbox(address), removed: true })}\n`
}

/** What a line says; undefined for one that says nothing we know, such as one cut short by a crash. */
export function readSuppressionLine(line: string): SuppressionRecord | undefined {
  let fields: Readonly<Record<string, unknown>>
  try {
    fields = JSON.parse(line)
  } catch {
    return undefined
  }
  const address = typeof fields?.address === 'string' ? parseMailbox(fields.address) : undefined
  if (address === undefined) return undefined
  if (fields.removed === true) return { removed: address }
  const { cause, reason, since, until } = fields
  if (!CAUSES.has(cause) || typeof reason !== 'string' || typeof since !== 'number') return undefined
  const known = { address, cause: cause as Suppression['cause'], reason, since }
  return { set: typeof until === 'number' ? { ...known, until } : known }
}
