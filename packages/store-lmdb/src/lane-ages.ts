/**
 * How many entries each lane has of each age: counters by lane and 5-minute slot of arrival, written in the very commits
 * they count.
 *
 * Like every count (`tally.ts`) a cell has a part for the owner's fast paths and one for transactions. Rows are
 * `[lane, slot, 0]` for transactions, and `[lane, slot, generation]` for the fast paths of one opening: those begin at
 * nothing, so a cell needs no read, and a batch writes each cell it changed once, if its number is another at the end.
 *
 * FOLDING. Parts may add up to zero and still be there. What is idle (`pending` 0: nothing of it is queued, so memory and
 * disk agree) is added to the part of transactions inside one, which is the only time when no batch is being made.
 */
import { counterValue, type Database, numberOf, readCounter, type ShapeKey } from './database.ts'
import { SLOT_MS, shapePages } from './lane-shape.ts'

interface Cell {
  readonly lane: string
  readonly slot: number
  flow: number
  /** What the disk says of `flow`; no number when nobody knows. */
  written: number
  /** Changes that are not committed yet. */
  pending: number
  dirty: boolean
}

/** Runs a change inside a write transaction. */
export type Transaction = (change: () => void) => Promise<void>

interface Change {
  readonly lane: string
  readonly slot: number
  by: number
}

/** The counter that tells of which openings everything is folded. */
const FOLDED = 'folded'
/** Cells kept although they are zero, because the next message may well count there. */
const KEPT = 1_000
/** Cells in memory before the idle ones are folded. */
const REMEMBERED = 20_000
/** Cells folded in one transaction. */
const FOLDED_AT_ONCE = 250

export class LaneAges {
  readonly #db: Database
  readonly #generation: number
  readonly #lanes = new Map<string, Map<number, Cell>>()
  readonly #foldable = new Set<Cell>()
  readonly #changes = new Map<string, Change>()
  #dirty: Cell[] = []
  #cells = 0
  #crowdedAt = REMEMBERED

  constructor(db: Database, generation: number) {
    this.#db = db
    this.#generation = generation
  }

  /** A change of a fast path, made as it is queued. */
  flow(lane: string, arrivedAt: number, by: number): void {
    const cell = this.#cell(lane, slotOf(arrivedAt))
    cell.flow += by
    cell.pending += 1
    this.#touch(cell)
  }

  /** The change is committed. */
  landed(lane: string, arrivedAt: number): void {
    const cell = this.#cell(lane, slotOf(arrivedAt))
    cell.pending -= 1
    if (cell.flow < 0) this.#foldable.add(cell)
    else if (cell.flow === 0 && this.#cells > KEPT && isIdle(cell)) this.#forget(cell)
  }

  /** The change came to nothing. Whether a batch that counts it is on the disk is unknown. */
  takeBack(lane: string, arrivedAt: number, by: number): void {
    const cell = this.#cell(lane, slotOf(arrivedAt))
    cell.flow -= by
    cell.pending -= 1
    cell.written = Number.NaN
    this.#touch(cell)
  }

  /** Part of a batch: writes the cells it changes. Answers the promises of the writes. */
  writeFlow(): readonly Promise<unknown>[] {
    if (this.#dirty.length === 0) return []
    const cells = this.#dirty
    this.#dirty = []
    const writes: Promise<unknown>[] = []
    for (const cell of cells) {
      cell.dirty = false
      if (cell.flow === cell.written) continue
      cell.written = cell.flow
      const write = this.#write([cell.lane, cell.slot, this.#generation], cell.flow)
      if (cell.pending === 0) keepUntil(write, cell)
      writes.push(write)
    }
    return writes
  }

  /** A change inside a write transaction. */
  change(lane: string, arrivedAt: number, by: number): void {
    const slot = slotOf(arrivedAt)
    const name = `${slot} ${lane}`
    const change = this.#changes.get(name)
    if (change === undefined) this.#changes.set(name, { lane, slot, by })
    else change.by += by
  }

  /** A transaction begins: nothing is left of one that failed. */
  begin(): void {
    this.#changes.clear()
  }

  /** A transaction ends. */
  writeChanges(): void {
    for (const { lane, slot, by } of this.#changes.values()) {
      if (by === 0) continue
      this.#add([lane, slot, 0], by)
      const cell = this.#lanes.get(lane)?.get(slot)
      if (cell !== undefined && cell.flow !== 0) this.#foldable.add(cell)
    }
    this.#changes.clear()
  }

  /** Inside a write transaction of a store at rest: nothing is counted any more, nor to be folded. */
  clear(): void {
    this.#db.counters.put(FOLDED, counterValue(this.#generation - 1))
    for (const key of [...this.#db.shape.getKeys()]) this.#db.shape.remove(key)
  }

  /** Whether there is enough to be folded that it is worth a commit. */
  get isCrowded(): boolean {
    return this.#foldable.size >= FOLDED_AT_ONCE || this.#cells > this.#crowdedAt
  }

  /**
   * Folds idle cells, to be called with something that runs a transaction. A cell begins anew the moment it is folded,
   * for what comes while the transaction is being committed; when that fails it gets its number back.
   */
  async fold(transaction: Transaction): Promise<void> {
    if (this.#cells > this.#crowdedAt) this.#chooseAll()
    await this.#foldChosen(transaction)
    this.#crowdedAt = Math.max(REMEMBERED, this.#cells * 2)
  }

  /** Folds everything, of a store that is about to be closed. */
  async foldAll(transaction: Transaction): Promise<void> {
    if (readCounter(this.#db, FOLDED) !== this.#generation - 1) return
    this.#chooseAll()
    await this.#foldChosen(transaction)
    await transaction(() => void this.#db.counters.put(FOLDED, counterValue(this.#generation)))
  }

  #chooseAll(): void {
    for (const slots of this.#lanes.values()) for (const cell of slots.values()) this.#foldable.add(cell)
  }

  async #foldChosen(transaction: Transaction): Promise<void> {
    while (this.#foldable.size > 0) {
      const some: Cell[] = []
      for (const cell of this.#foldable) {
        if (some.length === FOLDED_AT_ONCE) break
        this.#foldable.delete(cell)
        some.push(cell)
      }
      await this.#foldSome(some, transaction)
    }
  }

  /** Whether an earlier opening ended without folding. */
  get hasEarlier(): boolean {
    return readCounter(this.#db, FOLDED) < this.#generation - 1
  }

  /** Folds what earlier openings left. In proportion to the counters, page by page. */
  async foldEarlier(transaction: Transaction): Promise<void> {
    let old: ShapeKey[] = []
    const fold = (): void => {
      for (const key of old) {
        const value = this.#db.shape.get(key)
        if (value === undefined) continue
        this.#add([key[0], key[1], 0], numberOf(value))
        this.#db.shape.remove(key)
      }
    }
    for await (const page of shapePages(this.#db)) {
      old = page.map(([key]) => key).filter(([, , part]) => part !== 0 && part < this.#generation)
      if (old.length > 0) await transaction(fold)
    }
    await transaction(() => void this.#db.counters.put(FOLDED, counterValue(this.#generation - 1)))
  }

  async #foldSome(cells: readonly Cell[], transaction: Transaction): Promise<void> {
    const folded = new Map<Cell, number>()
    try {
      await transaction(() => {
        for (const cell of cells) {
          if (!isIdle(cell) || cell.flow === 0) continue
          folded.set(cell, cell.flow)
          this.#add([cell.lane, cell.slot, 0], cell.flow)
          this.#db.shape.remove([cell.lane, cell.slot, this.#generation])
          cell.flow = 0
          cell.written = 0
        }
      })
    } catch (error) {
      for (const [cell, flow] of folded) {
        cell.flow += flow
        cell.written = Number.NaN
        this.#touch(cell)
      }
      throw error
    }
    for (const cell of folded.keys()) if (cell.flow === 0 && isIdle(cell)) this.#forget(cell)
  }

  #cell(lane: string, slot: number): Cell {
    let slots = this.#lanes.get(lane)
    if (slots === undefined) {
      slots = new Map()
      this.#lanes.set(lane, slots)
    }
    let cell = slots.get(slot)
    if (cell === undefined) {
      cell = { lane, slot, flow: 0, written: 0, pending: 0, dirty: false }
      slots.set(slot, cell)
      this.#cells += 1
    }
    return cell
  }

  #touch(cell: Cell): void {
    if (cell.dirty) return
    cell.dirty = true
    this.#dirty.push(cell)
  }

  #forget(cell: Cell): void {
    const slots = this.#lanes.get(cell.lane)
    if (slots?.get(cell.slot) !== cell) return
    slots.delete(cell.slot)
    if (slots.size === 0) this.#lanes.delete(cell.lane)
    this.#foldable.delete(cell)
    this.#cells -= 1
  }

  #add(key: ShapeKey, by: number): void {
    const value = this.#db.shape.get(key)
    this.#write(key, by + (value === undefined ? 0 : numberOf(value)))
  }

  #write(key: ShapeKey, number: number): Promise<unknown> {
    return number === 0 ? this.#db.shape.remove(key) : this.#db.shape.put(key, counterValue(number))
  }
}

function slotOf(arrivedAt: number): number {
  return Math.floor(arrivedAt / SLOT_MS)
}

/** What takes a change back is under way like any other, although nobody waits for it. */
function keepUntil(write: Promise<unknown>, cell: Cell): void {
  const landed = (): void => {
    cell.pending -= 1
  }
  cell.pending += 1
  write.then(landed, landed)
}

/** Nothing of it is queued, and the disk says what memory says. */
function isIdle({ pending, dirty }: Cell): boolean {
  return pending === 0 && !dirty
}
