import { describe, expect, it } from 'vitest'
import { type Clock, sleep } from './clock.ts'

/** A clock whose only timer the test fires by hand. */
function handClock(): { readonly clock: Clock; fire(): void; readonly cancelled: () => number } {
  let task: (() => void) | undefined
  let cancelled = 0
  return {
    clock: {
      now: () => 0,
      after(_delayMs, run) {
        task = run
        const cancel = (): void => {
          cancelled += 1
        }
        return { cancel, refresh: () => undefined }
      },
    },
    fire: () => task?.(),
    cancelled: () => cancelled,
  }
}

describe('a sleep', () => {
  it('ends when its time has come', async () => {
    const hand = handClock()
    const sleeping = sleep(hand.clock, 5, new AbortController().signal)
    hand.fire()
    await expect(sleeping).resolves.toBeUndefined()
  })

  it('ends at once when the sleeper gives up, and leaves no timer', async () => {
    const hand = handClock()
    const giveUp = new AbortController()
    const sleeping = sleep(hand.clock, 5, giveUp.signal)
    giveUp.abort(new Error('enough'))
    await expect(sleeping).rejects.toThrow('enough')
    expect(hand.cancelled()).toBe(1)
  })

  it('does not begin when the sleeper had given up before', async () => {
    await expect(sleep(handClock().clock, 5, AbortSignal.abort(new Error('before')))).rejects.toThrow('before')
  })
})
