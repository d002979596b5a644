/**
 * Writing down what became of an attempt. A message that is done with is removed, and one that is to be tried again is
 * written anew, without being read: on condition that the entry is what it was when it was claimed. Everything else reads
 * the entry as it stands now, so what an operator did meanwhile is kept, and an entry an operator removed is not brought
 * back.
 */
import {
  type Call,
  type Claim,
  claimLane,
  hasCode,
  type MessageId,
  movedEntries,
  type PendingRecipient,
  type Remainder,
  remainingRecipients,
  type Settlement,
} from '@mailwright/core'
import { claimLost, dropLease } from './claiming.ts'
import type { Lease } from './leases.ts'
import { assertEntry, assertTime } from './options.ts'
import type { Prepared, Putting } from './putting.ts'
import type { EntryRow } from './record.ts'
import type { StoreParts } from './store-parts.ts'

const NEVER: Call = { signal: new AbortController().signal }

interface Rewritten {
  /** The rows that are there now instead of the entry's, by number. */
  readonly rows: ReadonlyMap<number, EntryRow>
  readonly remainder: Remainder
  /** The message's file, once nothing is left of the message. */
  readonly file: string | undefined
  readonly noticeStored: boolean
  /** Leases of entries that were gone before, whose numbers the rows have now. */
  readonly outlived: readonly Lease[]
}

export class Settling {
  readonly #parts: StoreParts
  readonly #putting: Putting

  constructor(parts: StoreParts, putting: Putting) {
    this.#parts = parts
    this.#putting = putting
  }

  async settle(claim: Claim, settlement: Settlement): Promise<Remainder> {
    const lease = this.#parts.leases.find(claim.token)
    if (lease === undefined || lease.settling) throw claimLost(claim)
    lease.settling = true
    try {
      if (isDone(lease.row, settlement)) {
        if (await this.#remove(lease)) return 'nothing'
      } else if (await this.#putOff(lease, settlement)) return 'waiting'
      return await this.#rewrite(claim, lease, settlement)
    } catch (error) {
      // After trouble with the storage the claim is still its holder's, to try again.
      lease.settling = false
      if (hasCode(error, 'ERR_MAILWRIGHT_CLAIM_LOST')) dropLease(this.#parts, lease)
      throw error
    }
  }

  /** The fast way, for the only entry of a message. Answers false when the entry is not what it was. */
  async #remove(lease: Lease): Promise<boolean> {
    const { cache, commits, counts, db, files, tables } = this.#parts
    const { message, entry, row, version } = lease
    const rows = [row]
    let removed = false
    try {
      removed = await commits.join(() => {
        counts.flow(rows, row.size, -1)
        return db.entries.ifVersion([message, entry], version, () => tables.removeOnly(message, entry, row))
      })
    } catch (error) {
      throw await this.#parts.failure(error)
    } finally {
      if (removed) counts.landed(rows)
      else counts.takeBack(rows, row.size, -1)
    }
    if (!removed) return false
    dropLease(this.#parts, lease)
    cache.remove(message)
    if (row.file !== undefined) await files.remove(row.file)
    return true
  }

  /** The fast way, for an entry that stays where it is. Answers false when it does not, or is not what it was. */
  async #putOff(lease: Lease, settlement: Settlement): Promise<boolean> {
    const { commits, counts, db, lanes, tables } = this.#parts
    const { message, entry, row, version } = lease
    if (settlement.moved !== undefined || settlement.also !== undefined) return false
    const recipients = remainingRecipients(row.recipients, settlement.outcomes)
    if (recipients.length === 0) return false
    assertTime(settlement.retryAt)
    const next = attempted(row, settlement, recipients, settlement.retryAt)
    const lane = claimLane(next)
    const tried = row.attempts === 0 && next.attempts > 0 ? 1 : 0
    lanes.arriving(lane)
    let written = false
    try {
      written = await commits.join(() => {
        counts.deferred.flow(tried)
        return db.entries.ifVersion([message, entry], version, () =>
          tables.rewrite(message, entry, { row, version }, next),
        )
      })
    } catch (error) {
      throw await this.#parts.failure(error)
    } finally {
      if (!written) {
        lanes.failed(lane)
        counts.deferred.takeBack(tried)
      }
    }
    if (!written) return false
    dropLease(this.#parts, lease)
    lanes.arrived(lane, next.dueAt)
    lanes.isDue([lane, next.dueAt, message, entry])
    return true
  }

  async #rewrite(claim: Claim, lease: Lease, settlement: Settlement): Promise<Remainder> {
    const { also } = settlement
    const notice = also && (await this.#putting.prepare(also.message, also.source, NEVER))
    let done: Rewritten | undefined
    try {
      done = await this.#parts.transaction(() => this.#rewriteNow(claim, lease, settlement, notice))
    } finally {
      if (notice !== undefined) await this.#putting.conclude(notice, done?.noticeStored ?? false)
    }
    const { leases, cache, files } = this.#parts
    const { message } = lease
    dropLease(this.#parts, lease)
    if (done.remainder === 'nothing') cache.remove(message)
    for (const [entry, row] of done.rows) {
      // Of an entry that another process removed, and whose number is used again. Who has claimed the new one since the
      // commit keeps it.
      const last = leases.of(message, entry)
      if (last !== undefined && done.outlived.includes(last)) dropLease(this.#parts, last)
      this.#isDue(message, entry, row)
    }
    if (notice !== undefined && done.noticeStored)
      for (const [entry, row] of notice.rows.entries()) this.#isDue(notice.message.id, entry, row)
    if (done.file !== undefined) await files.remove(done.file)
    return done.remainder
  }

  #rewriteNow(claim: Claim, lease: Lease, settlement: Settlement, notice: Prepared | undefined): Rewritten {
    const { tables } = this.#parts
    const { message, entry } = lease
    const current = this.#parts.leases.find(lease.token) === lease ? tables.read(message, entry) : undefined
    if (current === undefined) throw claimLost(claim)
    const { row: last } = current
    const recipients = remainingRecipients(last.recipients, settlement.outcomes)
    const rows = new Map<number, EntryRow>()
    const moved = movedRows(last, recipients, settlement)
    let remainder: Remainder = 'waiting'
    if (moved.length > 0)
      for (const [index, number] of tables.move(message, entry, last, moved).entries()) rows.set(number, moved[index]!)
    else if (recipients.length === 0) remainder = tables.remove(message, entry, last)
    else {
      assertTime(settlement.retryAt)
      // An instruction the attempt knew nothing of is carried out next.
      const isNews = last.instruction !== undefined && claim.entry.instruction === undefined
      const row = attempted(last, settlement, recipients, isNews ? last.dueAt : settlement.retryAt)
      tables.replace(message, entry, current, row)
      rows.set(entry, row)
    }
    const noticeStored =
      notice !== undefined && tables.insertNew(notice.message, notice.record, notice.rows, notice.size)
    const outlived = [...rows.keys()].flatMap((number) => this.#parts.leases.of(message, number) ?? [])
    return { rows, remainder, file: remainder === 'nothing' ? last.file : undefined, noticeStored, outlived }
  }

  #isDue(message: MessageId, entry: number, row: EntryRow): void {
    if (row.held === undefined) this.#parts.lanes.isDue([claimLane(row), row.dueAt, message, entry])
  }
}

/** The row after an attempt, or after what was none. */
function attempted(
  row: EntryRow,
  { counted, warned }: Settlement,
  recipients: readonly PendingRecipient[],
  dueAt: number,
): EntryRow {
  return { ...row, recipients, attempts: row.attempts + (counted ? 1 : 0), dueAt, warned: warned ?? row.warned }
}

/** The rows that take the place of one; none where nobody is moved. */
function movedRows(
  last: EntryRow,
  recipients: readonly PendingRecipient[],
  settlement: Settlement,
): readonly EntryRow[] {
  if (settlement.moved === undefined) return []
  const moved = movedEntries(recipients, settlement.moved)
  const siblings = last.siblings === 1 && moved.length === 1 ? 1 : last.siblings + moved.length
  return moved.map((entry) => {
    assertEntry(entry)
    const { lane, dueAt, held = last.held } = entry
    return { ...attempted(last, settlement, entry.recipients, dueAt), lane, held, instruction: undefined, siblings }
  })
}

/** Whether the settlement ends the message, and does nothing else. */
function isDone({ recipients, siblings }: EntryRow, { outcomes, moved, also }: Settlement): boolean {
  if (siblings > 1 || moved !== undefined || also !== undefined) return false
  for (const { id } of recipients) {
    const status = outcomes.get(id)?.status
    if (status === undefined || status === 'deferred') return false
  }
  return true
}
