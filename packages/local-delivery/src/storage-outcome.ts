/** What a failing disk means for a recipient: always another try. */
import { type DeferredOutcome, LOCAL_ERROR, type Reply, reply, type TransientCode } from '@mailwright/core'

const FULL: Readonly<Record<string, Reply<TransientCode>>> = {
  ENOSPC: reply(452, '4.3.1', 'Insufficient system storage'),
  EDQUOT: reply(452, '4.2.2', 'Mailbox is full'),
}

/** The outcome for an error of the file system: total, and silent about paths. */
export function storageOutcome(error: unknown): DeferredOutcome {
  const code = (error as NodeJS.ErrnoException | null | undefined)?.code
  return { status: 'deferred', scope: 'recipient', reply: FULL[code ?? ''] ?? LOCAL_ERROR, cause: error }
}
