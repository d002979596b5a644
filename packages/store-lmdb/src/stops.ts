/** Suspensions: few, plain, and kept until somebody ends them. The store only keeps them; whoever delivers heeds them. */
import { createHash } from 'node:crypto'
import { type Suspension, type SuspensionScope, suspensionKey } from '@mailwright/core'
import { isKey } from './options.ts'
import type { StoreParts } from './store-parts.ts'

/** Bytes of a scope as text that is its own key; a longer one is known by its hash. */
const LONGEST_KEY = 1_500

export class Stops {
  readonly #parts: StoreParts

  constructor(parts: StoreParts) {
    this.#parts = parts
  }

  /** Answers how many there are more, or other: one. */
  async suspend(suspension: Suspension): Promise<number> {
    const key = keyOf(suspension.scope)
    await this.#parts.transaction(() => this.#parts.db.stops.put(key, Buffer.from(JSON.stringify(suspension))))
    return 1
  }

  /** Answers how many ended: one or none. */
  async resume(scope: SuspensionScope): Promise<number> {
    const key = keyOf(scope)
    return this.#parts.transaction(() => {
      if (!this.#parts.db.stops.doesExist(key)) return 0
      this.#parts.db.stops.remove(key)
      return 1
    })
  }

  /** Those that cannot be read are passed over: mail that should wait goes out, rather than all mail being kept. */
  list(): readonly Suspension[] {
    const suspensions = new Map<string, Suspension>()
    for (const { value } of this.#parts.db.stops.getRange({})) {
      const suspension = readable(value)
      if (suspension !== undefined) suspensions.set(suspensionKey(suspension.scope), suspension)
    }
    return [...suspensions].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, suspension]) => suspension)
  }
}

function keyOf(scope: SuspensionScope): string {
  const key = suspensionKey(scope)
  return isKey(key, LONGEST_KEY) ? key : `#${createHash('sha256').update(key).digest('hex')}`
}

function readable(value: Uint8Array): Suspension | undefined {
  try {
    const suspension = JSON.parse(Buffer.from(value).toString('utf8')) as Suspension
    suspensionKey(suspension.scope)
    return suspension
  } catch {
    return undefined
  }
}
