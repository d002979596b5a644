/**
 * The shop's own database, with two tables of mail beside its own. What is written in one transaction is there as a
 * whole or not at all, be it an order or the mail about it; and who waits for mail hears of it after the commit.
 */
import { DatabaseSync } from 'node:sqlite'

export interface Outbox {
  readonly db: DatabaseSync
  /** Called after each commit that brought mail. */
  readonly onMail: Set<() => void>
}

/** Proof that a transaction is open, for functions that must not be called without one. */
export interface Transaction {
  readonly db: DatabaseSync
  /** To be done when it is committed; not at all if it is rolled back. */
  afterCommit(task: () => void): void
  /** Wakes whoever sends mail. */
  readonly mailArrived: () => void
}

const TABLES = `
  CREATE TABLE IF NOT EXISTS mail (
    id TEXT PRIMARY KEY, sender TEXT, options TEXT NOT NULL, arrived_at INTEGER NOT NULL,
    head BLOB NOT NULL, body BLOB NOT NULL, size INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS mail_entry (
    mail TEXT NOT NULL REFERENCES mail (id), number INTEGER NOT NULL,
    lane TEXT NOT NULL, claim_lane TEXT NOT NULL, recipients TEXT NOT NULL, due_at REAL NOT NULL,
    attempts INTEGER NOT NULL, held TEXT, instruction TEXT, warned INTEGER,
    token TEXT, lease_until REAL, lease_over INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (mail, number)
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS mail_entry_due ON mail_entry (claim_lane, due_at);
  CREATE INDEX IF NOT EXISTS mail_entry_token ON mail_entry (token) WHERE token IS NOT NULL;
  CREATE TABLE IF NOT EXISTS mail_suspension (key TEXT PRIMARY KEY, suspension TEXT NOT NULL) WITHOUT ROWID;
`

/** Opens the database, and makes the tables of mail if they are missing. A commit is on the disk when it returns. */
export function openOutbox(path: string): Outbox {
  const db = new DatabaseSync(path)
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON')
  db.exec(TABLES)
  return { db, onMail: new Set() }
}

/**
 * Runs the work in a transaction: all of it, or when it throws nothing. The work must not wait for anything, so that
 * nobody else's statements come between.
 *
 * @example
 * transact(outbox, (tx) => {
 *   tx.db.prepare('INSERT INTO orders (customer) VALUES (?)').run('ann@example.org')
 *   enqueue(tx, confirmation)
 * })
 */
export function transact<T>(
  { db, onMail }: Outbox,
  work: (tx: Transaction) => T extends Promise<unknown> ? never : T,
): T {
  const tasks = new Set<() => void>()
  const mailArrived = (): void => {
    for (const wake of onMail) wake()
  }
  db.exec('BEGIN IMMEDIATE')
  let result: T
  try {
    result = work({ db, mailArrived, afterCommit: (task) => void tasks.add(task) })
    db.exec('COMMIT')
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK')
    throw error
  }
  for (const task of tasks) task()
  return result
}
