/**
 * Retry schedules as people write them: `'5m, 10m, 30m*2, 1h*…'`. Waits in their order, each once or so many times; the
 * last repeats until the mail's lifetime is over. `*…` (or `*...`) after the last says so.
 */
import { type Duration, MailwrightError, milliseconds } from '@mailwright/core'
import { type RetrySchedule, retryAfter } from './retry.ts'

/** A schedule as a host gives it: a function, a list, or the text of one. */
export type RetryPlan = RetrySchedule | readonly Duration[] | string

/** Most waits of a list, repetitions counted. */
const LONGEST_LIST = 1_000
const ITEM = /^([^*\s]+)(?:\s*\*\s*(\d{1,4}|…|\.\.\.))?$/

/**
 * The schedule of a list of waits.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for what is no such list: empty, endless before its end, too long
 * @example
 * messageQueue({ …, retry: retryList('5m, 10m, 30m*2, 1h*…') })
 */
export function retryList(list: string | readonly Duration[]): RetrySchedule {
  const waits = typeof list === 'string' ? parseList(list) : list
  const [first, ...more] = waits
  if (first === undefined || waits.length > LONGEST_LIST) throw unreadable(list)
  return retryAfter(first, ...more)
}

/** The schedule that a host means. */
export function scheduleOf(plan: RetryPlan): RetrySchedule {
  return typeof plan === 'function' ? plan : retryList(plan)
}

function parseList(text: string): Duration[] {
  const waits: Duration[] = []
  const items = text.split(',')
  for (const [index, item] of items.entries()) {
    const parts = ITEM.exec(item.trim())
    const times = parts?.[2] ?? '1'
    const endless = !/^\d/.test(times)
    if (parts === null || times === '0' || (endless && index < items.length - 1)) throw unreadable(text)
    const wait = parts[1] as Duration
    milliseconds(wait)
    for (let count = endless ? 1 : Number(times); count > 0 && waits.length <= LONGEST_LIST; count--) waits.push(wait)
  }
  return waits
}

function unreadable(list: string | readonly Duration[]): MailwrightError {
  return new MailwrightError('ERR_MAILWRIGHT_CONFIG', `not a list of waits: ${JSON.stringify(list).slice(0, 200)}`)
}
