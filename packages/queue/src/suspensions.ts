/** Which mail is kept from being tried, out of a list of suspensions (`Suspension` in core). */
import type { Labels, MessageId, Suspension } from '@mailwright/core'

/** The suspensions that hold at a time. */
export interface InForce {
  readonly lanes: ReadonlySet<string> | 'all'
  readonly labels: readonly LabelSuspension[]
  /** When the next of them ends, ms since the epoch. */
  readonly until: number | undefined
}

export interface LabelSuspension {
  readonly label: string
  readonly value: string
  readonly until: number | undefined
}

export const NONE_IN_FORCE: InForce = { lanes: new Set(), labels: [], until: undefined }

export function inForce(list: readonly Suspension[], now: number): InForce {
  const lanes = new Set<string>()
  const labels: LabelSuspension[] = []
  let everything = false
  let next = Number.POSITIVE_INFINITY
  for (const { scope, until } of list) {
    if (until !== undefined && until <= now) continue
    if (until !== undefined) next = Math.min(next, until)
    if (scope.kind === 'everything') everything = true
    else if (scope.kind === 'lane') lanes.add(scope.lane)
    else labels.push({ label: scope.label, value: scope.value, until })
  }
  return {
    lanes: everything ? 'all' : lanes,
    labels,
    until: next === Number.POSITIVE_INFINITY ? undefined : next,
  }
}

/** The suspension of mail with these labels, if there is one. */
export function suspensionOf(
  labels: Labels | undefined,
  suspended: readonly LabelSuspension[],
): LabelSuspension | undefined {
  if (labels === undefined) return undefined
  return suspended.find(({ label, value }) => Object.hasOwn(labels, label) && labels[label] === value)
}

/** Most messages of which it is remembered; others come back by themselves. */
const MOST_REMEMBERED = 10_000

/** Messages that went back to the store because of their labels, until the suspension is over. */
export class SetBack {
  readonly #messages = new Map<MessageId, LabelSuspension>()

  add({ label, value, until }: LabelSuspension, message: MessageId): void {
    if (this.#messages.size < MOST_REMEMBERED) this.#messages.set(message, { label, value, until })
  }

  /** Forgets those that none of these suspensions is about any more, and answers with them. */
  over(suspended: readonly LabelSuspension[]): readonly MessageId[] {
    const over: MessageId[] = []
    for (const [message, { label, value }] of this.#messages) {
      if (suspended.some((each) => each.label === label && each.value === value)) continue
      this.#messages.delete(message)
      over.push(message)
    }
    return over
  }
}
