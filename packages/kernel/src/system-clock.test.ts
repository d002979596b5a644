import { sleep } from '@mailwright/core'
import { describe, expect, it } from 'vitest'
import { systemClock } from './system-clock.ts'

const forever = new AbortController().signal

describe('the real clock', () => {
  it('fires after the delay, again after a refresh, and never after a cancel', async () => {
    const clock = systemClock()
    let fired = 0
    const cancelled = clock.after(0, () => {
      fired += 100
    })
    cancelled.cancel()
    const timer = clock.after(1, () => {
      fired += 1
    })
    await sleep(clock, 20, forever)
    timer.refresh()
    await sleep(clock, 20, forever)
    expect(fired).toBe(2)
  })

  it('does not fire at once for delays beyond what a timer can count', async () => {
    const clock = systemClock()
    let fired = false
    const timer = clock.after(2 ** 40, () => {
      fired = true
    })
    timer.refresh()
    await sleep(clock, 5, forever)
    timer.cancel()
    expect(fired).toBe(false)
  })

  it('ends a sleep when the sleeper is told to give up', async () => {
    const giveUp = new AbortController()
    const sleeping = sleep(systemClock(), 1e6, giveUp.signal)
    giveUp.abort(new Error('enough'))
    await expect(sleeping).rejects.toThrow('enough')
    await expect(sleep(systemClock(), 1, giveUp.signal)).rejects.toThrow('enough')
  })
})
