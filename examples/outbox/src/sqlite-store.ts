/**
 * The queue in the shop's database: a `QueueStore` on `node:sqlite`, for one process that delivers. Every change is one
 * transaction, durable when it returns; SQLite answers at once, so nothing here waits but for a body to be read.
 *
 * Leases are columns of the entries and end with the process: opening clears them. It does not try to be fast: a change
 * by selection looks at every entry, and a body is one value.
 */
import { randomUUID } from 'node:crypto'
import {
  type Arrival,
  type Call,
  type Claim,
  type ClaimQuery,
  type EntriesQuery,
  type Events,
  type Instruction,
  isSelected,
  type LaneDue,
  type LaneQuery,
  type LaneShape,
  MailwrightError,
  type MessageId,
  type MessageSource,
  movedEntries,
  type NewMessage,
  type PutClaim,
  type QueueEntry,
  type QueueStats,
  type QueueStore,
  type Remainder,
  remainingRecipients,
  type Selection,
  type Settlement,
  type ShapeQuery,
  type Spool,
  type Suspension,
  type SuspensionScope,
  suspensionKey,
} from 'mailwright'
import { bodySpool, wholeBody } from './body-spool.ts'
import {
  CLAIMABLE,
  deleteEntry,
  insertEntry,
  insertMail,
  SELECT_ENTRIES,
  type StoredEntry,
  storedEntry,
  storedMessage,
  updateEntry,
} from './mail-rows.ts'
import { type Outbox, transact } from './outbox.ts'
import { shapeOf, statsOf } from './queue-figures.ts'

const NEVER = new AbortController().signal

/** Makes a queue store of the tables of an outbox. */
export function sqliteStore(outbox: Outbox): QueueStore {
  return new SqliteStore(outbox)
}

class SqliteStore implements QueueStore {
  readonly #outbox: Outbox
  readonly #listeners = new Set<(by: Arrival) => void>()
  readonly #onMail = (): void => this.#announce('mail')
  #state: 'open' | 'closed' = 'closed'
  /** No other store has used its tokens, before or beside it. */
  readonly #mark = randomUUID()
  #tokens = 0

  constructor(outbox: Outbox) {
    this.#outbox = outbox
  }

  async open(events: Events): Promise<void> {
    if (this.#state === 'open') throw new MailwrightError('ERR_MAILWRIGHT_STORE_BUSY', 'the store is open already')
    this.#state = 'open'
    this.#freeAll()
    this.#outbox.onMail.add(this.#onMail)
    events.emit({ type: 'store.recovered', messages: (await this.stats()).messages, strays: 0, corrupt: 0 })
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return
    this.#freeAll()
    this.#outbox.onMail.delete(this.#onMail)
    this.#state = 'closed'
  }

  spool(): Spool {
    return bodySpool()
  }

  async put(
    message: NewMessage,
    source: MessageSource,
    claim: PutClaim | undefined,
    call: Call,
  ): Promise<readonly Claim[]> {
    call.signal.throwIfAborted()
    const body = await wholeBody(source, call)
    return this.#write((db) => {
      if (insertMail(db, message, source.head, body) === 'known' || claim === undefined) return []
      return this.#select(`e.mail = ? AND due_at <= ? AND ${CLAIMABLE}`, message.id, claim.now)
        .filter(({ entry }) => claim.lanes.has(entry.lane))
        .map((stored) => this.#lease(stored, claim.now + claim.leaseMs))
    })
  }

  async lanes({ now, limit, exclude }: LaneQuery): Promise<readonly LaneDue[]> {
    this.#endLeases(now)
    const due = this.#earliest().filter(({ lane, dueAt }) => dueAt <= now && !exclude?.has(lane))
    return due.slice(0, limit)
  }

  async claim({ lane, now, limit, leaseMs }: ClaimQuery): Promise<readonly Claim[]> {
    this.#endLeases(now)
    const order = `ORDER BY due_at, mail, number LIMIT ${limit}`
    return this.#write(() =>
      this.#select(`claim_lane = ? AND due_at <= ? AND ${CLAIMABLE} ${order}`, lane, now).map((stored) =>
        this.#lease(stored, now + leaseMs),
      ),
    )
  }

  async renew(claim: Claim, until: number): Promise<void> {
    this.#write((db) => {
      this.#claimed(claim)
      db.prepare('UPDATE mail_entry SET lease_until = ?, lease_over = 0 WHERE token = ?').run(until, claim.token)
    })
  }

  async settle(claim: Claim, settlement: Settlement): Promise<Remainder> {
    const { outcomes, retryAt, counted, moved, warned, also } = settlement
    const notice = also && { ...also, body: await wholeBody(also.source, { signal: NEVER }) }
    return this.#write((db) => {
      const entry = this.#claimed(claim)
      const recipients = remainingRecipients(entry.recipients, outcomes)
      // An instruction the attempt knew nothing of is carried out next.
      const isNews = entry.instruction !== undefined && claim.entry.instruction === undefined
      const settled: QueueEntry = {
        ...entry,
        recipients,
        dueAt: isNews ? entry.dueAt : retryAt,
        attempts: entry.attempts + (counted ? 1 : 0),
        warned: warned ?? entry.warned,
      }
      db.prepare('UPDATE mail_entry SET token = NULL, lease_over = 0 WHERE token = ?').run(claim.token)
      if (moved !== undefined) this.#move(settled, moved)
      else if (recipients.length === 0) deleteEntry(db, settled)
      else updateEntry(db, settled)
      if (notice !== undefined) insertMail(db, notice.message, notice.source.head, notice.body)
      return this.#select('e.mail = ?', entry.message).length > 0 ? 'waiting' : 'nothing'
    })
  }

  async nextDue(exclude?: ReadonlySet<string>): Promise<number | undefined> {
    return this.#earliest().find(({ lane }) => !exclude?.has(lane))?.dueAt
  }

  async entries({ selection = {}, limit, after }: EntriesQuery): Promise<readonly QueueEntry[]> {
    const { message, entry } = after ?? { message: '', entry: -1 }
    return this.#select('(mail, number) > (?, ?) ORDER BY mail, number', message, entry)
      .map((stored) => stored.entry)
      .filter((each) => isSelected(selection, each))
      .slice(0, limit)
  }

  async read(message: MessageId): Promise<MessageSource | undefined> {
    return storedMessage(this.#db(), message)
  }

  async hold(selection: Selection, reason: string): Promise<number> {
    if (selection.held === true) return 0
    return this.#change({ ...selection, held: false }, (entry) => ({ ...entry, held: reason }))
  }

  async release(selection: Selection, now: number): Promise<number> {
    if (selection.held === false) return 0
    const released = { held: undefined, dueAt: now }
    return this.#announced(this.#change({ ...selection, held: true }, (entry) => ({ ...entry, ...released })))
  }

  async reschedule(selection: Selection, dueAt: number): Promise<number> {
    return this.#announced(this.#change(selection, (entry) => ({ ...entry, dueAt })))
  }

  async instruct(selection: Selection, instruction: Instruction, now: number): Promise<number> {
    return this.#announced(this.#change(selection, (entry) => ({ ...entry, instruction, dueAt: now })))
  }

  async remove(selection: Selection): Promise<number> {
    return this.#change(selection, () => undefined)
  }

  async stats(): Promise<QueueStats> {
    return statsOf(this.#db())
  }

  async shape(query: ShapeQuery): Promise<readonly LaneShape[]> {
    return shapeOf(this.#db(), query)
  }

  async suspend(suspension: Suspension): Promise<void> {
    const key = suspensionKey(suspension.scope)
    this.#write((db) =>
      db.prepare('INSERT OR REPLACE INTO mail_suspension VALUES (?, ?)').run(key, JSON.stringify(suspension)),
    )
    this.#announce('operator')
  }

  async resume(scope: SuspensionScope): Promise<boolean> {
    const { changes } = this.#write((db) =>
      db.prepare('DELETE FROM mail_suspension WHERE key = ?').run(suspensionKey(scope)),
    )
    if (changes > 0) this.#announce('operator')
    return changes > 0
  }

  async suspensions(): Promise<readonly Suspension[]> {
    const rows = this.#db().prepare('SELECT suspension FROM mail_suspension ORDER BY key').all()
    return rows.map((row) => JSON.parse(String(row.suspension)) as Suspension)
  }

  refusing(): null {
    return null
  }

  onArrival(listener: (by: Arrival) => void): () => void {
    const own = (by: Arrival): void => listener(by)
    this.#listeners.add(own)
    return () => this.#listeners.delete(own)
  }

  #db(): Outbox['db'] {
    if (this.#state === 'closed') throw new MailwrightError('ERR_MAILWRIGHT_STOPPED', 'the store is not open')
    return this.#outbox.db
  }

  /** One atomic change. What SQLite cannot do is a failure of storage. */
  #write<T>(work: (db: Outbox['db']) => T extends Promise<unknown> ? never : T): T {
    const db = this.#db()
    try {
      return transact<T>(this.#outbox, () => work(db))
    } catch (error) {
      if (error instanceof MailwrightError) throw error
      throw new MailwrightError('ERR_MAILWRIGHT_STORE', 'the database failed', { cause: error })
    }
  }

  #select(condition: string, ...values: readonly (string | number)[]): readonly StoredEntry[] {
    return this.#db()
      .prepare(`${SELECT_ENTRIES} WHERE ${condition}`)
      .all(...values)
      .map(storedEntry)
  }

  /** Lanes with claimable entries, each with when its first is due, the longest waiting first. */
  #earliest(): readonly LaneDue[] {
    const rows = this.#db()
      .prepare(
        `SELECT claim_lane, MIN(due_at) AS due FROM mail_entry WHERE ${CLAIMABLE} GROUP BY claim_lane ORDER BY due`,
      )
      .all()
    return rows.map((row) => ({ lane: String(row.claim_lane), dueAt: Number(row.due) }))
  }

  #lease({ entry, options }: StoredEntry, until: number): Claim {
    const token = `${this.#mark}.${++this.#tokens}`
    this.#db()
      .prepare('UPDATE mail_entry SET token = ?, lease_until = ?, lease_over = 0 WHERE mail = ? AND number = ?')
      .run(token, until, entry.message, entry.entry)
    const message = storedMessage(this.#db(), entry.message)!
    return { token, entry: { ...entry, claimed: true }, options, message, leaseUntil: until }
  }

  /** A lease that is over may be taken by another; until then its holder may still settle. */
  #endLeases(now: number): void {
    this.#db().prepare('UPDATE mail_entry SET lease_over = 1 WHERE token IS NOT NULL AND lease_until <= ?').run(now)
  }

  #freeAll(): void {
    this.#db().exec('UPDATE mail_entry SET token = NULL, lease_over = 0 WHERE token IS NOT NULL')
  }

  #claimed(claim: Claim): QueueEntry {
    const [stored] = this.#select('token = ?', claim.token)
    if (stored !== undefined && stored.entry.message === claim.entry.message) return stored.entry
    throw new MailwrightError('ERR_MAILWRIGHT_CLAIM_LOST', `the claim of ${claim.entry.message} was lost`)
  }

  /** Other entries take the place of this one. */
  #move(entry: QueueEntry, moved: NonNullable<Settlement['moved']>): void {
    const { message, attempts, warned, held } = entry
    const last = Math.max(...this.#select('e.mail = ?', message).map((stored) => stored.entry.entry))
    for (const [index, each] of movedEntries(entry.recipients, moved).entries())
      insertEntry(this.#db(), {
        ...each,
        ...{ message, entry: last + 1 + index, attempts, warned, held: each.held ?? held },
      })
    deleteEntry(this.#db(), entry)
  }

  /** Changes what is selected, or removes it where nothing is left, and counts it. */
  #change(selection: Selection, change: (entry: QueueEntry) => QueueEntry | undefined): number {
    return this.#write((db) => {
      const selected = this.#select('TRUE').filter(({ entry }) => isSelected(selection, entry))
      for (const { entry } of selected) {
        const changed = change(entry)
        if (changed === undefined) deleteEntry(db, entry)
        else updateEntry(db, changed)
      }
      return selected.length
    })
  }

  #announced(changed: number): number {
    if (changed > 0) this.#announce('mail')
    return changed
  }

  #announce(by: Arrival): void {
    for (const listener of this.#listeners) listener(by)
  }
}
