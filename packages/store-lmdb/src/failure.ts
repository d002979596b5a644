/** Storage trouble as the one error callers know: temporary, and with 452 where the disk is full. */
import { MailwrightError, type Reply, reply, type TransientCode } from '@mailwright/core'

/** What a client is told while storage is short (RFC 3463 X.3.1). */
export const STORAGE_FULL: Reply<TransientCode> = reply(452, '4.3.1', 'Insufficient system storage')

/**
 * ENOSPC, EDQUOT and EFBIG by name from the file system and by number from LMDB, and MDB_MAP_FULL. LMDB's EIO is among
 * them because it is what LMDB makes of a write that was cut short, which is how a disk usually turns out to be full.
 */
const FULL_CODES: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT', 'EFBIG', 28, 122, 27, 5, -30792])

/**
 * The error to reject with. LMDB tells why a commit failed in a promise of its own, which is awaited here, also so that
 * it does not become an unhandled rejection.
 */
export async function storageFailure(error: unknown): Promise<MailwrightError> {
  if (error instanceof MailwrightError) return error
  const cause = await commitError(error)
  const options = isFull(cause) ? { cause, reply: STORAGE_FULL } : { cause }
  return new MailwrightError('ERR_MAILWRIGHT_STORE', 'the storage failed', options)
}

/** Whether the failure says that there is no room, as against anything else. */
export function isStorageFull(error: MailwrightError): boolean {
  return error.reply === STORAGE_FULL
}

function isFull(cause: unknown): boolean {
  return typeof cause === 'object' && cause !== null && 'code' in cause && FULL_CODES.has(cause.code)
}

async function commitError(error: unknown): Promise<unknown> {
  if (typeof error !== 'object' || error === null || !('commitError' in error)) return error
  try {
    await error.commitError
    return error
  } catch (cause) {
    return cause
  }
}
