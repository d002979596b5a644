import type { Clock, Timer } from '@mailwright/core'

/** The real time. */
export function systemClock(): Clock {
  return {
    now: () => Date.now(),
    after(delayMs: number, task: () => void): Timer {
      // Longer delays than setTimeout can count are waited for in steps.
      if (delayMs > LONGEST) return longTimer(delayMs, task)
      const timer = setTimeout(task, delayMs)
      return { cancel: () => clearTimeout(timer), refresh: () => void timer.refresh() }
    },
  }
}

const LONGEST = 2 ** 31 - 1

function longTimer(delayMs: number, task: () => void): Timer {
  let due = Date.now() + delayMs
  let timer = setTimeout(step, LONGEST)
  function step(): void {
    const left = due - Date.now()
    if (left <= 0) task()
    else timer = setTimeout(step, Math.min(left, LONGEST))
  }
  return {
    cancel: () => clearTimeout(timer),
    refresh(): void {
      clearTimeout(timer)
      due = Date.now() + delayMs
      timer = setTimeout(step, LONGEST)
    },
  }
}
