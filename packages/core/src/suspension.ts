/** Mail an operator, or an answer of the destination, keeps from being tried for a while. Nothing of it is lost or aged. */

/** What is suspended: all mail, a destination (or one lane of it), or mail with a label. */
export type SuspensionScope =
  | { readonly kind: 'everything' }
  | { readonly kind: 'lane'; readonly lane: string }
  | { readonly kind: 'label'; readonly label: string; readonly value: string }

export interface Suspension {
  readonly scope: SuspensionScope
  /** For people. */
  readonly reason: string
  /** ms since the epoch. */
  readonly since: number
  /** When it ends by itself, ms since the epoch; absent: when somebody ends it. */
  readonly until?: number | undefined
}

/**
 * A scope as text: unique, for indexes and commands.
 *
 * @example
 * suspensionKey({ kind: 'label', label: 'tenant', value: 'acme' }) // 'label:tenant=acme'
 */
export function suspensionKey(scope: SuspensionScope): string {
  if (scope.kind === 'everything') return 'everything'
  return scope.kind === 'lane' ? `lane:${scope.lane}` : `label:${scope.label}=${scope.value}`
}
