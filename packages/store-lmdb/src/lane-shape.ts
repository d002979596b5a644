/** Reading the counters that `lane-ages.ts` writes: in proportion to lanes and slots, of one moment, and never for long at once. */
import type { LaneShape, ShapeQuery } from '@mailwright/core'
import { type Database, endOfLane, numberOf, type ShapeKey } from './database.ts'

/** Mail that arrived in the same slot is counted together. */
export const SLOT_MS: number = 5 * 60_000

/** Rows read before others may run. */
const PAGE = 2_000

/** The lanes with most entries, and how old those are. */
export async function readShape(db: Database, query: ShapeQuery): Promise<readonly LaneShape[]> {
  const largest: LaneShape[] = []
  let lane: string | undefined
  let slots = new Map<number, number>()
  const conclude = (): void => {
    if (lane !== undefined) insertLargest(largest, shapeOf(lane, slots, query), query.limit)
  }
  for await (const page of shapePages(db))
    for (const [key, count] of page) {
      if (key[0] !== lane) {
        conclude()
        lane = key[0]
        slots = new Map()
      }
      slots.set(key[1], (slots.get(key[1]) ?? 0) + count)
    }
  conclude()
  return largest
}

/** How many lanes have entries. */
export async function countLanes(db: Database): Promise<number> {
  let lanes = 0
  let [lane, slot]: [string?, number?] = []
  let sum = 0
  let isCounted = false
  const conclude = (): void => {
    if (sum > 0 && !isCounted) {
      isCounted = true
      lanes += 1
    }
    sum = 0
  }
  for await (const page of shapePages(db, () => isCounted))
    for (const [key, count] of page) {
      if (key[0] !== lane || key[1] !== slot) conclude()
      if (key[0] !== lane) isCounted = false
      lane = key[0]
      slot = key[1]
      sum += count
    }
  conclude()
  return lanes
}

/** All rows, others running between pages. What is left of a page's last lane may be leapt over. */
export async function* shapePages(
  db: Database,
  leaps?: () => boolean,
): AsyncGenerator<readonly (readonly [ShapeKey, number])[]> {
  const transaction = db.root.useReadTransaction()
  try {
    let start: ShapeKey | undefined
    for (;;) {
      const page: [ShapeKey, number][] = []
      const options = { ...(start && { start, exclusiveStart: true }), limit: PAGE, transaction }
      for (const { key, value } of db.shape.getRange(options)) page.push([key, numberOf(value)])
      if (page.length > 0) yield page
      if (page.length < PAGE) return
      const last = page.at(-1)![0]
      start = leaps?.() ? (endOfLane(last[0]) as unknown as ShapeKey) : last
      await new Promise((resolve) => setImmediate(resolve))
    }
  } finally {
    transaction.done()
  }
}

function shapeOf(lane: string, slots: ReadonlyMap<number, number>, { now, ages: bounds }: ShapeQuery): LaneShape {
  const ages = new Array<number>(bounds.length + 1).fill(0)
  let entries = 0
  for (const [slot, count] of slots) {
    // Parts that add up to nothing may be there still.
    if (count <= 0) continue
    // In the middle of its slot, so that no age is wrong by more than half of one.
    const age = now - (slot + 0.5) * SLOT_MS
    const column = bounds.findIndex((bound) => age <= bound)
    ages[column < 0 ? bounds.length : column]! += count
    entries += count
  }
  return { lane, entries, ages }
}

function insertLargest(largest: LaneShape[], shape: LaneShape, limit: number): void {
  if (shape.entries === 0 || limit <= 0) return
  if (largest.length >= limit && largest.at(-1)!.entries >= shape.entries) return
  let at = largest.length
  while (at > 0 && largest[at - 1]!.entries < shape.entries) at -= 1
  largest.splice(at, 0, shape)
  if (largest.length > limit) largest.pop()
}
