/** Claims as the scheduler sees them. */
import type { InHand } from '../scheduler-events.ts'

export interface Handful extends InHand {
  readonly entry: { readonly message: string; readonly lane: string; readonly dueAt: number }
}

let made = 0

/** An entry that was claimed; of a message of its own unless one is named. */
export function handful(lane: string, given: { message?: string; dueAt?: number; priority?: number } = {}): Handful {
  made += 1
  const { message = `m${made}`, dueAt = 0, priority } = given
  return { entry: { message, lane, dueAt }, options: priority === undefined ? {} : { priority } }
}
