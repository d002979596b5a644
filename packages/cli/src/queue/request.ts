/** What an action is given, and how it answers. */
import type { QueueStore, Selection } from '@mailwright/core'
import { UsageError } from '../command.ts'
import type { Flag, Flags } from './flags.ts'

export interface Request {
  readonly name: string
  readonly store: QueueStore
  readonly selection: Selection
  /** Message ids. */
  readonly ids: readonly string[]
  readonly flags: Flags
  /** ms since the epoch. */
  readonly now: number
}

/** Something to do with the store of a queue. */
export interface Action {
  readonly takes: readonly Flag[]
  /** Changes what is selected: it wants to be told what, and `--all` for everything. */
  readonly changes?: true
  run(request: Request): Promise<void>
}

/** One line about what was done: for programs if they ask, otherwise for people. */
export function report({ json }: Flags, done: string, count: number, one: string, many: string): void {
  if (json) console.log(JSON.stringify({ [done]: count }))
  else console.error(`${done} ${count} ${count === 1 ? one : many}`)
}

/** The one message id that the action needs. */
export function oneId({ ids, name }: Request): string {
  const [id, ...more] = ids
  if (id === undefined || more.length > 0) throw new UsageError(`queue ${name} wants one message id`)
  return id
}

/** Actions that are about no entry take no ids. */
export function assertNoIds({ ids, name }: Request): void {
  if (ids.length > 0) throw new UsageError(`queue ${name} takes no message ids`)
}
