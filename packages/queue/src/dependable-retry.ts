/** A host's own schedule is code we do not know: what it does wrong must not stop the mail. */
import { MailwrightError } from '@mailwright/core'
import type { RetrySchedule } from './retry.ts'

/** Where a schedule gives no answer: as Postfix's shortest wait. */
const FALLBACK_MS = 300_000

/** The same schedule, but one that throws, or answers with no time to wait, does not stop the mail. */
export function dependable(schedule: RetrySchedule, report: (error: unknown) => void): RetrySchedule {
  return (deferral) => {
    try {
      const wait = schedule(deferral)
      if (wait >= 0 && Number.isFinite(wait)) return wait
      report(new MailwrightError('ERR_MAILWRIGHT_CONFIG', `the retry schedule answered ${String(wait)}`))
    } catch (error) {
      report(error)
    }
    return FALLBACK_MS
  }
}
