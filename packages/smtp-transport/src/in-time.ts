/** A limit of time for work that takes a signal. */
import { type Call, type Clock, sleep } from '@mailwright/core'

export type InTime<T> =
  | { readonly status: 'done'; readonly value: T }
  | { readonly status: 'failed'; readonly cause: unknown }

/** Runs work that takes a signal, and aborts it when the time is over. Never rejects. */
export async function inTime<T>(
  clock: Clock,
  limitMs: number,
  call: Call,
  work: (limited: Call) => Promise<T>,
): Promise<InTime<T>> {
  const done = new AbortController()
  const late = new AbortController()
  const waiting = sleep(clock, limitMs, done.signal).then(
    () => late.abort(new Error(`no success within ${limitMs} ms`)),
    () => undefined,
  )
  try {
    const value = await work({ signal: AbortSignal.any([call.signal, late.signal]) })
    return { status: 'done', value }
  } catch (cause) {
    return { status: 'failed', cause }
  } finally {
    done.abort()
    await waiting
  }
}
