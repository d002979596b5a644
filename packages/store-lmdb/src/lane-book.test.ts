import { describe, expect, it, onTestFinished } from 'vitest'
import { type Database, type HeadKey, NOTHING, openDatabase } from './database.ts'
import { LaneBook } from './lane-book.ts'
import { LANE, spoolDirectory } from './testing-support/spool-directory.ts'

async function database(): Promise<Database> {
  const db = openDatabase(await spoolDirectory(), 2 ** 24)
  onTestFinished(() => db.root.close())
  return db
}

/** The book of an owner, and the wrong heads it asked to have corrected. */
function ownersBook(db: Database): { readonly book: LaneBook; readonly asked: HeadKey[] } {
  const asked: HeadKey[] = []
  return {
    book: new LaneBook(
      db,
      () => false,
      (rows) => void asked.push(...rows),
    ),
    asked,
  }
}

async function correct(db: Database, book: LaneBook, rows: readonly HeadKey[]): Promise<void> {
  book.corrected(await db.root.childTransaction(() => book.correctHeads(rows)))
}

/** What a put does for its entry. */
async function arrive(db: Database, book: LaneBook, lane: string, dueAt: number): Promise<void> {
  book.arriving(lane)
  book.cover(lane, dueAt)
  await db.due.put([lane, dueAt, 'a1', 0], NOTHING)
  book.arrived(lane, dueAt)
  book.isDue([lane, dueAt, 'a1', 0])
}

const heads = (db: Database): HeadKey[] => [...db.heads.getKeys()]

describe('the heads of lanes', () => {
  it('are written for the first mail of a lane, and not again while one is early enough', async () => {
    const db = await database()
    const { book } = ownersBook(db)
    await arrive(db, book, LANE, 5)
    await arrive(db, book, LANE, 7)
    expect(heads(db)).toEqual([[5, LANE]])
    await arrive(db, book, LANE, 3)
    expect(heads(db)).toEqual([
      [3, LANE],
      [5, LANE],
    ])
  })

  it('stay while a put that relied on them is under way', async () => {
    const db = await database()
    const { book } = ownersBook(db)
    await arrive(db, book, LANE, 5)
    await db.due.remove([LANE, 5, 'a1', 0])
    // The put relies on the head of 5. Its row is not written yet when the correction runs.
    book.arriving(LANE)
    book.cover(LANE, 9)
    await correct(db, book, [[5, LANE]])
    await db.due.put([LANE, 9, 'b1', 0], NOTHING)
    book.arrived(LANE, 9)
    expect(ownersBook(db).book.nextDue(undefined)).toBe(9)
  })

  it('are written anew for a put that comes after their removal', async () => {
    const db = await database()
    const { book } = ownersBook(db)
    await arrive(db, book, LANE, 5)
    await db.due.remove([LANE, 5, 'a1', 0])
    await correct(db, book, [[5, LANE]])
    expect(heads(db)).toEqual([])
    await arrive(db, book, LANE, 9)
    expect(ownersBook(db).book.nextDue(undefined)).toBe(9)
  })

  it('are not known from a put that failed', async () => {
    const db = await database()
    const { book } = ownersBook(db)
    book.arriving(LANE)
    book.failed(LANE)
    await arrive(db, book, LANE, 9)
    expect(heads(db)).toEqual([[9, LANE]])
  })

  it('become one for each lane, and true, when they are corrected', async () => {
    const db = await database()
    const { book } = ownersBook(db)
    await arrive(db, book, LANE, 5)
    for (const early of [1, 2, 3, 8]) await db.heads.put([early, LANE], NOTHING)
    await db.heads.put([4, 'smtp:empty'], NOTHING)
    await correct(db, book, heads(db))
    expect(heads(db)).toEqual([[5, LANE]])
    await correct(db, book, heads(db))
    expect(heads(db)).toEqual([[5, LANE]])
  })

  it('that are wrong are corrected when a walk meets many of them', async () => {
    const db = await database()
    const { book, asked } = ownersBook(db)
    for (let index = 0; index < 15; index++) await db.heads.put([index, `smtp:${index}`], NOTHING)
    expect(book.nextDue(undefined)).toBeUndefined()
    expect(asked).toEqual([])
    await db.heads.put([15, 'smtp:15'], NOTHING)
    expect(book.nextDue(undefined)).toBeUndefined()
    expect(asked).toHaveLength(16)
  })

  it('tell the lane that waits longest first, also where they are too early', async () => {
    const db = await database()
    const { book } = ownersBook(db)
    for (const dueAt of [1, 10]) await arrive(db, book, LANE, dueAt)
    for (const dueAt of [5, 7]) await arrive(db, book, `smtp:${dueAt}`, dueAt)
    await db.due.remove([LANE, 1, 'a1', 0])
    book.forget()
    expect(book.lanes({ now: 20, limit: 9 })).toEqual([
      { lane: 'smtp:5', dueAt: 5 },
      { lane: 'smtp:7', dueAt: 7 },
      { lane: LANE, dueAt: 10 },
    ])
  })

  it('that were corrected for a lane nobody remembers are not taken for known', async () => {
    const db = await database()
    const { book } = ownersBook(db)
    await db.due.put([LANE, 5, 'a1', 0], NOTHING)
    await db.heads.put([3, LANE], NOTHING)
    await correct(db, book, [[3, LANE]])
    expect(heads(db)).toEqual([[5, LANE]])
    book.forgetLane(LANE)
    // Without memory of the lane a put writes its own.
    await arrive(db, book, LANE, 7)
    expect(heads(db)).toEqual([
      [5, LANE],
      [7, LANE],
    ])
  })

  it('stay while a put or a lease relies on them, when very many idle lanes are forgotten', async () => {
    const db = await database()
    const { book } = ownersBook(db)
    await arrive(db, book, LANE, 5)
    await db.due.remove([LANE, 5, 'a1', 0])
    book.arriving(LANE)
    book.leased('smtp:leased')
    for (let lane = 0; lane < 20_000; lane++) {
      book.arriving(`smtp:${lane}`)
      book.failed(`smtp:${lane}`)
    }
    await correct(db, book, [[5, LANE]])
    expect(heads(db)).toEqual([[5, LANE]])
    await db.due.put([LANE, 9, 'b1', 0], NOTHING)
    book.arrived(LANE, 9)
    expect(book.nextDue(undefined)).toBe(9)
  })

  it('are always written and never corrected by a process that is not the owner', async () => {
    const db = await database()
    const operator = new LaneBook(db, () => false, undefined)
    await arrive(db, operator, LANE, 5)
    await arrive(db, operator, LANE, 7)
    expect(heads(db)).toHaveLength(2)
    expect(operator.nextDue(undefined)).toBe(5)
  })
})
