/** Handing out entries. Nothing is written: a lease is in memory, and what is leased is passed over. */
import { type Claim, type ClaimQuery, type LaneDue, type LaneQuery, MailwrightError } from '@mailwright/core'
import type { DueKey } from './database.ts'
import type { Lease } from './leases.ts'
import type { VersionedRow } from './queue-tables.ts'
import { CorruptRecord, describeEntry } from './record.ts'
import type { StoreParts } from './store-parts.ts'
import type { StoredMessage } from './stored-messages.ts'

export class Claiming {
  readonly #parts: StoreParts

  constructor(parts: StoreParts) {
    this.#parts = parts
  }

  lanes(query: LaneQuery): readonly LaneDue[] {
    this.#endLeases(query.now)
    return this.#parts.lanes.lanes(query)
  }

  claim({ lane, now, limit, leaseMs }: ClaimQuery): readonly Claim[] {
    if (this.#parts.settings.access !== 'owner')
      throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', 'an operator claims nothing')
    this.#endLeases(now)
    const claims: Claim[] = []
    try {
      for (const key of this.#parts.lanes.claimable(lane, now, limit)) {
        const claim = this.#claimRow(key, now + leaseMs)
        if (claim !== undefined) claims.push(claim)
      }
    } catch (error) {
      // Nobody gets any of them: they are to be found again, by whoever asks next.
      for (const { token } of claims) dropLease(this.#parts, this.#parts.leases.find(token)!)
      this.#parts.lanes.forgetLane(lane)
      throw error
    }
    return claims
  }

  renew(claim: Claim, until: number): void {
    const { lanes, leases } = this.#parts
    const lease = leases.find(claim.token)
    if (lease === undefined) throw claimLost(claim)
    if (this.#parts.db.entries.doesExist([lease.message, lease.entry]) === false) throw claimLost(claim)
    if (lease.ended) {
      lanes.leased(lease.lane)
      lanes.leasesChanged(lease.lane)
    }
    leases.renew(lease, until)
  }

  #claimRow(key: DueKey, until: number): Claim | undefined {
    const [lane, , message, entry] = key
    const versioned = this.#readRow(key)
    const stored = versioned && this.#readMessage(message)
    if (versioned === undefined || stored === undefined) return undefined
    const { row, version } = versioned
    const { token } = this.#parts.leases.take(message, entry, row, version, until)
    this.#parts.lanes.leased(lane)
    const { options } = stored.facts
    return {
      token,
      entry: describeEntry(message, entry, row, true),
      options,
      message: stored.source,
      leaseUntil: until,
    }
  }

  #readRow(key: DueKey): VersionedRow | undefined {
    const [, , message, entry] = key
    try {
      const versioned = this.#parts.tables.read(message, entry)
      if (versioned === undefined) this.#parts.quarantine.orphan(key)
      return versioned
    } catch (error) {
      if (!(error instanceof CorruptRecord)) throw error
      this.#parts.quarantine.entry(message, entry, error.message, key)
      return undefined
    }
  }

  #readMessage(message: string): StoredMessage | undefined {
    try {
      const stored = this.#parts.messages.find(message)
      if (stored === undefined) this.#parts.quarantine.message(message, 'the message record is missing')
      return stored
    } catch (error) {
      if (!(error instanceof CorruptRecord)) throw error
      this.#parts.quarantine.message(message, error.message)
      return undefined
    }
  }

  #endLeases(now: number): void {
    for (const { lane } of this.#parts.leases.endAt(now)) {
      this.#parts.lanes.unleased(lane)
      this.#parts.lanes.leasesChanged(lane)
    }
  }
}

/** Ends a lease for good, if it has not ended so. */
export function dropLease({ lanes, leases }: StoreParts, lease: Lease): void {
  if (leases.find(lease.token) !== lease) return
  // An entry whose lease ended is counted among those that are due.
  if (lease.ended) lanes.leasesChanged(lease.lane)
  else lanes.unleased(lease.lane)
  leases.drop(lease)
}

export function claimLost(claim: Claim): MailwrightError {
  return new MailwrightError('ERR_MAILWRIGHT_CLAIM_LOST', `the claim of ${claim.entry.message} was lost`)
}
