/**
 * Writing down what became of an attempt. A message that is done with is removed without being read: its rows go on
 * condition that the entry is what it was when it was claimed. Everything else reads the entry as it stands now, so what
 * an operator did meanwhile is kept, and an entry an operator removed is not brought back.
 */
import { type Call, type Claim, hasCode, type Remainder, remainingRecipients, type Settlement } from '@mailwright/core'
import { claimLost, dropLease } from './claiming.ts'
import type { Lease } from './leases.ts'
import type { Prepared, Putting } from './putting.ts'
import type { EntryRow } from './record.ts'
import type { StoreParts } from './store-parts.ts'

const NEVER: Call = { signal: new AbortController().signal }

interface Rewritten {
  /** The row as it is now; undefined when it is gone. */
  readonly row: EntryRow | undefined
  readonly remainder: Remainder
  /** The message's file, once nothing is left of the message. */
  readonly file: string | undefined
  readonly noticeStored: boolean
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
      if (isDone(lease.row, settlement) && (await this.#remove(lease))) return 'nothing'
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
    const { cache, commits, db, files, tables, totals } = this.#parts
    const { message, row, version } = lease
    totals.flow(-row.size)
    let removed = false
    try {
      removed = await commits.join(() =>
        db.entries.ifVersion([message, 0], version, () => tables.removeOnly(message, row)),
      )
    } catch (error) {
      throw await this.#parts.failure(error)
    } finally {
      if (!removed) totals.flow(row.size)
    }
    if (!removed) return false
    dropLease(this.#parts, lease)
    cache.remove(message)
    if (row.file !== undefined) await files.remove(row.file)
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
    const { lanes, cache, files } = this.#parts
    const { message, entry } = lease
    dropLease(this.#parts, lease)
    if (done.row === undefined) cache.remove(message)
    else if (done.row.held === undefined) lanes.isDue([done.row.lane, done.row.dueAt, message, entry])
    if (notice !== undefined && done.noticeStored)
      for (const [number, row] of notice.rows.entries())
        if (row.held === undefined) lanes.isDue([row.lane, row.dueAt, notice.message.id, number])
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
    let row: EntryRow | undefined
    let remainder: Remainder = 'waiting'
    if (recipients.length === 0) remainder = tables.remove(message, entry, last)
    else {
      const attempts = last.attempts + (settlement.counted ? 1 : 0)
      row = { ...last, recipients, attempts, dueAt: settlement.retryAt }
      tables.replace(message, entry, current, row)
    }
    const noticeStored =
      notice !== undefined && tables.insertNew(notice.message, notice.record, notice.rows, notice.size)
    return { row, remainder, file: remainder === 'nothing' ? last.file : undefined, noticeStored }
  }
}

/** Whether the settlement ends the message, and does nothing else. */
function isDone({ recipients, siblings }: EntryRow, { outcomes, also }: Settlement): boolean {
  if (siblings > 1 || also !== undefined) return false
  for (const { id } of recipients) {
    const status = outcomes.get(id)?.status
    if (status === undefined || status === 'deferred') return false
  }
  return true
}
