/** A binary heap of due times, for the manual clock: the earliest first, and among equals the one added first. */

export interface Due {
  /** ms since the epoch. */
  readonly at: number
  /** Breaks ties: counts up with each addition. */
  readonly order: number
}

export interface DueHeap<T extends Due> {
  readonly size: number
  push(item: T): void
  peek(): T | undefined
  pop(): T | undefined
}

/** An empty heap. */
export function dueHeap<T extends Due>(): DueHeap<T> {
  const items: T[] = []
  return {
    get size(): number {
      return items.length
    },
    push(item: T): void {
      let at = items.push(item) - 1
      while (at > 0) {
        const parent = (at - 1) >> 1
        if (isSooner(items[parent]!, item)) break
        items[at] = items[parent]!
        at = parent
      }
      items[at] = item
    },
    peek: (): T | undefined => items[0],
    pop(): T | undefined {
      const first = items[0]
      const last = items.pop()
      if (first === undefined || last === undefined || items.length === 0) return first
      let at = 0
      for (;;) {
        let child = 2 * at + 1
        if (child >= items.length) break
        if (child + 1 < items.length && isSooner(items[child + 1]!, items[child]!)) child++
        if (isSooner(last, items[child]!)) break
        items[at] = items[child]!
        at = child
      }
      items[at] = last
      return first
    },
  }
}

function isSooner(a: Due, b: Due): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}
