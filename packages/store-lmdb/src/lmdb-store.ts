/**
 * The queue on a local disk: LMDB for metadata and small bodies, a file for each large one. The port is `QueueStore` in
 * core; how it is laid out is in `database.ts`, and what a crash can leave in this package's README.
 *
 * Two ways to write. The fast ones, for a message of one lane that is put and then done with, only queue rows: LMDB
 * writes all rows queued in one turn of the event loop, by whomever, in one commit with one sync, in its own thread, and
 * a row that changed meanwhile makes the batch's part fail instead of being read first. Everything else reads and writes
 * inside a transaction. Both resolve when the commit is on the disk.
 */
import {
  type Call,
  type Claim,
  type ClaimQuery,
  type EntriesQuery,
  type Events,
  type LaneDue,
  type LaneQuery,
  type MessageId,
  type MessageSource,
  MailwrightError,
  type NewMessage,
  type Outcome,
  type PutClaim,
  type QueueEntry,
  type QueueStats,
  type QueueStore,
  type RecipientId,
  remainingRecipients,
  type Reply,
  type Selection,
  type Settlement,
  type Spool,
  type TransientCode,
} from '@mailwright/core'
import { type LmdbStoreOptions, type LmdbStoreSettings, settingsOf } from './options.ts'

/** A `QueueStore` on a local disk. */
export interface LmdbStore extends QueueStore {
  /** Whether writes are under way in LMDB's own thread, where no test clock sees them. */
  busy(): boolean
}
