/** A real store whose calls fail, or whose answers take their time, when the test says so. */
import { MailwrightError, type QueueStore } from '@mailwright/core'
import { memoryStore } from '../memory-store.ts'

/** The calls that can go wrong. */
export type Fallible =
  | 'put'
  | 'lanes'
  | 'claim'
  | 'renew'
  | 'settle'
  | 'nextDue'
  | 'suspend'
  | 'resume'
  | 'suspensions'
  | 'close'

export interface Faults {
  /** How often the call was made. */
  count(call: Fallible): number
  /** How many wait to be told of arrivals. */
  readonly listeners: number
  /** Makes the next calls fail, before anything happens; without `times`, until `recover`. */
  fail(call: Fallible, times?: number, error?: unknown): void
  recover(call: Fallible): void
  /** Answers are on their way until `letGo`: the store has done its part already. */
  delay(call: Fallible): void
  letGo(call: Fallible): void
}

const BROKEN = new MailwrightError('ERR_MAILWRIGHT_STORE', 'the disk is broken')

/**
 * Makes a store with faults around a real one.
 *
 * @example
 * const { store, faults } = faultyStore()
 * faults.fail('settle', 2)
 */
export function faultyStore(inner: QueueStore = memoryStore()): {
  readonly store: QueueStore
  readonly faults: Faults
} {
  const counts = new Map<Fallible, number>()
  const failing = new Map<Fallible, { left: number; readonly error: unknown }>()
  let listeners = 0
  const gates = new Map<Fallible, PromiseWithResolvers<void>>()

  async function through<T>(call: Fallible, run: () => Promise<T>): Promise<T> {
    counts.set(call, (counts.get(call) ?? 0) + 1)
    const fault = failing.get(call)
    if (fault !== undefined && fault.left > 0) {
      fault.left -= 1
      throw fault.error
    }
    const answer = await run()
    await gates.get(call)?.promise
    return answer
  }

  const store: QueueStore = {
    open: (events) => inner.open(events),
    close: () => through('close', () => inner.close()),
    spool: () => inner.spool(),
    put: (...given) => through('put', () => inner.put(...given)),
    lanes: (query) => through('lanes', () => inner.lanes(query)),
    claim: (query) => through('claim', () => inner.claim(query)),
    renew: (...given) => through('renew', () => inner.renew(...given)),
    settle: (...given) => through('settle', () => inner.settle(...given)),
    nextDue: (exclude) => through('nextDue', () => inner.nextDue(exclude)),
    entries: (query) => inner.entries(query),
    read: (message) => inner.read(message),
    hold: (...given) => inner.hold(...given),
    release: (...given) => inner.release(...given),
    reschedule: (...given) => inner.reschedule(...given),
    instruct: (...given) => inner.instruct(...given),
    remove: (selection) => inner.remove(selection),
    stats: () => inner.stats(),
    shape: (query) => inner.shape(query),
    suspend: (suspension) => through('suspend', () => inner.suspend(suspension)),
    resume: (scope) => through('resume', () => inner.resume(scope)),
    suspensions: () => through('suspensions', () => inner.suspensions()),
    refusing: () => inner.refusing(),
    onArrival(listener: Parameters<QueueStore['onArrival']>[0]): () => void {
      listeners += 1
      const end = inner.onArrival(listener)
      return () => {
        listeners -= 1
        end()
      }
    },
  }
  const faults: Faults = {
    count: (call) => counts.get(call) ?? 0,
    get listeners(): number {
      return listeners
    },
    fail: (call, times = Number.POSITIVE_INFINITY, error = BROKEN) => void failing.set(call, { left: times, error }),
    recover: (call) => void failing.delete(call),
    delay: (call) => void gates.set(call, Promise.withResolvers()),
    letGo(call: Fallible): void {
      gates.get(call)?.resolve()
      gates.delete(call)
    },
  }
  return { store, faults }
}
