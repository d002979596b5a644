import { describe, expect, it, onTestFinished } from 'vitest'
import { type Database, openDatabase } from './database.ts'
import { LaneAges } from './lane-ages.ts'
import { countLanes, readShape, SLOT_MS } from './lane-shape.ts'
import { LANE, spoolDirectory } from './testing-support/spool-directory.ts'

interface World {
  readonly db: Database
  readonly ages: LaneAges
  /** What a batch with these changes does. */
  commit(...changes: readonly (readonly [lane: string, arrivedAt: number, by: 1 | -1])[]): Promise<void>
  /** A write transaction. */
  transaction(change: () => void): Promise<void>
  rows(): readonly (readonly [lane: string, slot: number, part: number])[]
  /** Entries in all lanes, by the age of an hour. */
  count(): Promise<readonly (readonly [string, ...number[]])[]>
}

async function world(generation = 7): Promise<World> {
  const db = openDatabase(await spoolDirectory(), 2 ** 24)
  onTestFinished(() => db.root.close())
  const ages = new LaneAges(db, generation)
  return {
    db,
    ages,
    async commit(...changes) {
      for (const [lane, arrivedAt, by] of changes) ages.flow(lane, arrivedAt, by)
      await Promise.all(ages.writeFlow())
      for (const [lane, arrivedAt] of changes) ages.landed(lane, arrivedAt)
    },
    async transaction(change) {
      await db.root.childTransaction(() => {
        ages.begin()
        change()
        ages.writeChanges()
      })
    },
    rows: () => [...db.shape.getKeys()],
    async count() {
      const shape = await readShape(db, { now: 13 * SLOT_MS, ages: [12 * SLOT_MS], limit: 9 })
      return shape.map((each) => [each.lane, ...each.ages])
    },
  }
}

describe('the ages of mail', () => {
  it('are written once for all mail of a batch, and not at all where as much left as came', async () => {
    const { commit, rows, count } = await world()
    await commit([LANE, 0, 1], [LANE, 1, 1], [LANE, 2, 1])
    expect(rows()).toEqual([[LANE, 0, 7]])
    expect(await count()).toEqual([[LANE, 0, 3]])
    await commit([LANE, 0, 1], [LANE, 1, -1], ['smtp:b', 0, 1], ['smtp:b', 0, -1])
    expect(await count()).toEqual([[LANE, 0, 3]])
    await commit([LANE, 0, -1], [LANE, 0, -1], [LANE, 0, -1])
    expect(rows()).toEqual([])
  })

  it('are those of the slots in which it arrived', async () => {
    const { commit, count } = await world()
    await commit([LANE, 0, 1], [LANE, 12 * SLOT_MS, 1], ['smtp:b', 13 * SLOT_MS - 1, 1])
    expect(await count()).toEqual([
      [LANE, 1, 1],
      ['smtp:b', 1, 0],
    ])
  })

  it('are taken back with a change that came to nothing, whether its batch was written or not', async () => {
    const { ages, commit, count } = await world()
    await commit([LANE, 0, 1])
    ages.flow(LANE, 0, 1)
    ages.takeBack(LANE, 0, 1)
    await commit()
    expect(await count()).toEqual([[LANE, 0, 1]])
    ages.flow(LANE, 0, 1)
    await Promise.all(ages.writeFlow())
    ages.takeBack(LANE, 0, 1)
    await commit()
    expect(await count()).toEqual([[LANE, 0, 1]])
  })

  it('count nothing of a transaction that failed', async () => {
    const { ages, count, transaction } = await world()
    const failing = transaction(() => {
      ages.change(LANE, 0, 5)
      throw new Error('no room')
    })
    await expect(failing).rejects.toThrow('no room')
    await transaction(() => ages.change(LANE, 0, 1))
    expect(await count()).toEqual([[LANE, 0, 1]])
  })

  it('leave no row behind when what came one way went the other, and they are folded', async () => {
    const { ages, commit, count, rows, transaction } = await world()
    await transaction(() => ages.change(LANE, 0, 2))
    await commit([LANE, 0, -1], [LANE, 0, -1])
    expect(await count()).toEqual([])
    expect(rows()).toHaveLength(2)
    await ages.fold(transaction)
    expect(rows()).toEqual([])
  })

  it('are not folded while a change of theirs is under way', async () => {
    const { ages, count, transaction } = await world()
    await transaction(() => ages.change(LANE, 0, 1))
    ages.flow(LANE, 0, -1)
    await transaction(() => ages.change(LANE, 0, 1))
    await ages.fold(transaction)
    expect(await count()).toEqual([[LANE, 0, 2]])
    await transaction(() => ages.change(LANE, 0, 1))
    await Promise.all([ages.fold(transaction), ...ages.writeFlow()])
    ages.landed(LANE, 0)
    expect(await count()).toEqual([[LANE, 0, 2]])
  })

  it('are right where mail comes while they are being folded, and where that fails', async () => {
    const { ages, commit, count, transaction } = await world()
    await commit([LANE, 0, 1])
    await transaction(() => ages.change(LANE, 0, 1))
    const folding = ages.fold(async (change) => {
      await transaction(change)
      await commit([LANE, 0, 1])
    })
    await folding
    expect(await count()).toEqual([[LANE, 0, 3]])
    await transaction(() => ages.change(LANE, 0, 1))
    const failing = ages.fold((change) =>
      transaction(() => {
        change()
        throw new Error('no room')
      }),
    )
    await expect(failing).rejects.toThrow('no room')
    await commit()
    expect(await count()).toEqual([[LANE, 0, 4]])
  })

  it('of an opening that ended without folding are added by the next, page by page', async () => {
    const { db, commit, count, transaction } = await world(1)
    const lanes = Array.from({ length: 3_000 }, (_, index) => `smtp:${index}`)
    await commit(...lanes.map((lane) => [lane, 0, 1] as const))
    expect(await countLanes(db)).toBe(3_000)
    const next = new LaneAges(db, 2)
    expect(next.hasEarlier).toBe(true)
    await next.foldEarlier(transaction)
    expect(next.hasEarlier).toBe(false)
    expect(new Set([...db.shape.getKeys()].map(([, , part]) => part))).toEqual(new Set([0]))
    expect(await countLanes(db)).toBe(3_000)
    expect(await count()).toHaveLength(9)
  })

  it('are all folded by an opening that is closed', async () => {
    const { db, ages, commit, count, rows, transaction } = await world(1)
    for (let slot = 0; slot < 600; slot++) await commit([LANE, slot * SLOT_MS, 1])
    await ages.foldAll(transaction)
    expect(rows().every(([, , part]) => part === 0)).toBe(true)
    const next = new LaneAges(db, 2)
    expect(next.hasEarlier).toBe(false)
    expect(await count()).toEqual([[LANE, 599, 1]])
  })

  it('are folded and forgotten where there are too many to remember', { timeout: 20_000 }, async () => {
    const { ages, commit, rows, transaction } = await world()
    for (let page = 0; page < 21; page++)
      await commit(...Array.from({ length: 1_000 }, (_, index) => [`smtp:${page}-${index}`, 0, 1] as const))
    expect(ages.isCrowded).toBe(true)
    await ages.fold(transaction)
    expect(ages.isCrowded).toBe(false)
    expect(rows()).toHaveLength(21_000)
    expect(rows().every(([, , part]) => part === 0)).toBe(true)
  })
})
