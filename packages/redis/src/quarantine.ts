/**
 * Records that cannot be read: no crash leaves one, so somebody else wrote them. An entry that is met is told of, moved out of
 * the queue to `:corrupt:<id>`, and everything else goes on.
 */
import type { MailEvent } from '@mailwright/core'
import type { Link } from './link.ts'
import { SET_ASIDE } from './operator-scripts.ts'
import { type RawRow, textOf } from './record.ts'

export class Quarantine {
  readonly #link: Link
  readonly #emit: (event: MailEvent) => void

  constructor(link: Link, emit: (event: MailEvent) => void) {
    this.#link = link
    this.#emit = emit
  }

  /** What `read` makes of each row, without those it cannot read. */
  sift<T>(rows: readonly RawRow[], read: (row: RawRow) => T): T[] {
    const readable: T[] = []
    for (const row of rows) {
      try {
        readable.push(read(row))
      } catch (error) {
        this.#setAside(row, error)
      }
    }
    return readable
  }

  #setAside([id, entry]: RawRow, error: unknown): void {
    const message = textOf(id)
    const problem = error instanceof Error ? error.message : String(error)
    this.#emit({ type: 'store.corrupt', message, problem: `entry ${textOf(entry)}: ${problem}` })
    this.#link.run(SET_ASIDE, [message, textOf(entry)]).catch((failure: unknown) => {
      this.#emit({ type: 'failure', where: 'setting a record aside', error: failure })
    })
  }
}
