/**
 * A clock that moves when the test says so. Timers fire in the order they are due, one at a time; before and after each
 * the program comes to rest (`settle`), so that whatever a timer set off has happened before the next one fires.
 * Five days of retries take milliseconds, and the same milliseconds every time.
 */
import { type Clock, type Duration, MailwrightError, milliseconds, type Timer } from '@mailwright/core'
import { type Due, dueHeap } from './due-heap.ts'
import { settle } from './settle.ts'

export interface ManualClock extends Clock {
  /** Timers that will fire. */
  readonly pending: number
  /** When the next timer fires, ms since the epoch. */
  readonly next: number | undefined
  /** Moves time forward, firing what falls due on the way. A task that throws makes it reject. */
  advance(by: Duration): Promise<void>
  /** Moves time forward to an instant, ms since the epoch. */
  advanceTo(at: number): Promise<void>
  /**
   * Moves time forward from timer to timer until the work is done, at most by `within` (default 30 days). Without a
   * timer to fire, it waits for the work without moving time.
   */
  until<T>(work: PromiseLike<T>, within?: Duration): Promise<T>
  /** Resolves when the program has come to rest. Moves no time. */
  settle(): Promise<void>
}

export interface ManualClockOptions {
  /** Work outside the process's own event loop to wait for between timers, such as a native store's. */
  readonly busy?: () => boolean
}

interface Alarm {
  due: number
  order: number
  state: 'waiting' | 'fired' | 'cancelled'
  /** The heap has an entry for this alarm, maybe with an earlier time than `due`. */
  queued: boolean
  readonly task: () => void
}

interface Entry extends Due {
  readonly alarm: Alarm
}

/**
 * Makes a clock that stands still at `start` (ms since the epoch, or a date).
 *
 * @example
 * const clock = manualClock()
 * clock.after(300_000, retry)
 * await clock.advance('5m') // retry has run, and all it set off
 */
export function manualClock(
  start: number | string | Date = '2026-01-01T00:00:00Z',
  options: ManualClockOptions = {},
): ManualClock {
  let now = new Date(start).getTime()
  if (Number.isNaN(now)) throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `not an instant: ${String(start)}`)
  const heap = dueHeap<Entry>()
  let order = 0
  let pending = 0
  let moving = false

  function enqueue(alarm: Alarm): void {
    alarm.queued = true
    heap.push({ at: alarm.due, order: alarm.order, alarm })
  }

  function arm(alarm: Alarm, delayMs: number): void {
    if (alarm.state !== 'waiting') pending++
    alarm.state = 'waiting'
    alarm.due = now + Math.max(0, delayMs)
    alarm.order = order++
    // A refreshed alarm keeps its entry and is put back when that entry comes up: refreshing costs nothing.
    if (!alarm.queued) enqueue(alarm)
  }

  /** The next alarm to fire, with entries of cancelled and refreshed alarms cleared away on the way. */
  function front(): Alarm | undefined {
    for (;;) {
      const entry = heap.peek()
      if (entry === undefined) return undefined
      const { alarm } = entry
      if (alarm.state === 'waiting' && entry.order === alarm.order) return alarm
      heap.pop()
      if (alarm.state === 'waiting') enqueue(alarm)
      else alarm.queued = false
    }
  }

  function fire(alarm: Alarm): void {
    heap.pop()
    alarm.queued = false
    alarm.state = 'fired'
    pending--
    now = Math.max(now, alarm.due)
    alarm.task()
  }

  const rest = (): Promise<void> => settle(options.busy)

  async function move(to: number, done: () => boolean): Promise<void> {
    if (moving) throw new MailwrightError('ERR_MAILWRIGHT_UNEXPECTED', 'the clock is already being moved')
    moving = true
    try {
      await rest()
      for (let alarm = front(); alarm !== undefined && alarm.due <= to && !done(); alarm = front()) {
        fire(alarm)
        await rest()
      }
      if (!done()) now = Math.max(now, to)
    } finally {
      moving = false
    }
  }

  return {
    get pending(): number {
      return pending
    },
    get next(): number | undefined {
      return front()?.due
    },
    now: (): number => now,
    after(delayMs: number, task: () => void): Timer {
      const alarm: Alarm = { due: 0, order: 0, state: 'fired', queued: false, task }
      arm(alarm, delayMs)
      return {
        cancel(): void {
          if (alarm.state === 'waiting') pending--
          alarm.state = 'cancelled'
        },
        refresh(): void {
          if (alarm.state !== 'cancelled') arm(alarm, delayMs)
        },
      }
    },
    advance: (by: Duration): Promise<void> => move(now + milliseconds(by), () => false),
    advanceTo(at: number): Promise<void> {
      if (at < now) throw new MailwrightError('ERR_MAILWRIGHT_UNEXPECTED', 'time does not run backwards')
      return move(at, () => false)
    },
    async until<T>(work: PromiseLike<T>, within: Duration = '30d'): Promise<T> {
      let finished = false
      const finish = (): void => {
        finished = true
      }
      work.then(finish, finish)
      const deadline = now + milliseconds(within)
      await move(now, () => finished)
      while (!finished) {
        const due = front()?.due
        if (due === undefined) await settle(() => !finished)
        else if (due <= deadline) await move(due, () => finished)
        else
          throw new MailwrightError('ERR_MAILWRIGHT_UNEXPECTED', `not done in ${milliseconds(within)} ms of the clock`)
      }
      return work
    },
    settle: rest,
  }
}
