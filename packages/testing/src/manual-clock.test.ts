import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sleep } from '@mailwright/core'
import { describe, expect, it } from 'vitest'
import { manualClock } from './manual-clock.ts'

const never = new AbortController().signal

describe('the manual clock', () => {
  it('stands still until it is moved', async () => {
    const clock = manualClock()
    expect(clock.now()).toBe(Date.UTC(2026, 0, 1))
    await clock.settle()
    expect(clock.now()).toBe(Date.UTC(2026, 0, 1))
    await clock.advance('5m')
    expect(clock.now()).toBe(Date.UTC(2026, 0, 1, 0, 5))
  })

  it('fires timers in the order they are due, and equals in the order they were set', async () => {
    const clock = manualClock(0)
    const fired: string[] = []
    for (const [delay, name] of [
      [30, 'c'],
      [10, 'a'],
      [20, 'b1'],
      [20, 'b2'],
      [20, 'b3'],
    ] as const)
      clock.after(delay, () => fired.push(`${name}@${clock.now()}`))
    await clock.advance(25)
    expect(fired).toEqual(['a@10', 'b1@20', 'b2@20', 'b3@20'])
    expect(clock.pending).toBe(1)
    expect(clock.next).toBe(30)
    await clock.advanceTo(30)
    expect(fired.at(-1)).toBe('c@30')
    expect(clock.next).toBeUndefined()
  })

  it('lets everything a timer set off happen before the next one fires', async () => {
    const clock = manualClock(0)
    const log: string[] = []
    async function deliver(): Promise<void> {
      await sleep(clock, 10, never)
      for (let step = 0; step < 50; step++) await new Promise((resolve) => setImmediate(resolve))
      log.push(`delivered@${clock.now()}`)
    }
    const delivery = deliver()
    clock.after(11, () => log.push('timeout'))
    await clock.advance(11)
    await delivery
    expect(log).toEqual(['delivered@10', 'timeout'])
  })

  it('waits for file operations between timers', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'clock-'))
    const clock = manualClock(0)
    const log: string[] = []
    async function store(): Promise<void> {
      await writeFile(join(folder, 'mail'), 'x'.repeat(200_000))
      log.push(`${(await readFile(join(folder, 'mail'))).length}@${clock.now()}`)
    }
    let stored: Promise<void> | undefined
    clock.after(1, () => {
      stored = store()
    })
    await clock.advance(1_000)
    expect(log).toEqual(['200000@1'])
    await stored
    await rm(folder, { recursive: true })
  })

  it('waits for work the test names', async () => {
    let rounds = 0
    const clock = manualClock(0, { busy: () => ++rounds < 20 })
    await clock.settle()
    expect(rounds).toBeGreaterThanOrEqual(20)
  })

  it('fires timers that were set while it moves', async () => {
    const clock = manualClock(0)
    const at: number[] = []
    const again = (): void => {
      at.push(clock.now())
      if (at.length < 4) clock.after(100, again)
    }
    clock.after(100, again)
    await clock.advance(1_000)
    expect(at).toEqual([100, 200, 300, 400])
    expect(clock.now()).toBe(1_000)
  })

  it('never fires a cancelled timer, not even a refreshed one', async () => {
    const clock = manualClock(0)
    const timer = clock.after(10, () => expect.unreachable('cancelled'))
    timer.cancel()
    timer.cancel()
    timer.refresh()
    expect(clock.pending).toBe(0)
    expect(clock.next).toBeUndefined()
    await clock.advance(100)
  })

  it('starts an idle time-out anew when it is refreshed, also after it fired', async () => {
    const clock = manualClock(0)
    const fired: number[] = []
    const timer = clock.after(10, () => fired.push(clock.now()))
    for (let step = 0; step < 5; step++) {
      await clock.advance(9)
      timer.refresh()
    }
    expect(fired).toEqual([])
    expect(clock.next).toBe(55)
    await clock.advance(20)
    timer.refresh()
    expect(clock.pending).toBe(1)
    await clock.advance(10)
    expect(fired).toEqual([55, 75])
    expect(clock.pending).toBe(0)
  })

  it('fires a refreshed timer after those of the same instant that were set before the refresh', async () => {
    const clock = manualClock(0)
    const fired: string[] = []
    const first = clock.after(10, () => fired.push('first'))
    clock.after(10, () => fired.push('second'))
    first.refresh()
    await clock.advance(10)
    expect(fired).toEqual(['second', 'first'])
  })

  it('moves from timer to timer until some work is done, and no further', async () => {
    const clock = manualClock(0)
    const retry = async (): Promise<string> => {
      await sleep(clock, 300_000, never)
      await sleep(clock, 600_000, never)
      return 'sent'
    }
    clock.after(2_000_000, () => expect.unreachable('too far'))
    expect(await clock.until(retry())).toBe('sent')
    expect(clock.now()).toBe(900_000)
  })

  it('moves no time for work that needs none, and passes its failure on', async () => {
    const clock = manualClock(0)
    clock.after(10, () => expect.unreachable('too far'))
    await expect(clock.until(Promise.reject(new Error('refused')))).rejects.toThrow('refused')
    expect(clock.now()).toBe(0)
  })

  it('says so when the work does not end in the time given', async () => {
    const clock = manualClock(0)
    const again = (): void => void clock.after(1_000, again)
    again()
    await expect(clock.until(new Promise(() => {}), '10s')).rejects.toThrow('not done in 10000 ms')
  })

  it('passes on what a timer throws, and is usable afterwards', async () => {
    const clock = manualClock(0)
    clock.after(1, () => {
      throw new Error('a bug')
    })
    await expect(clock.advance(2)).rejects.toThrow('a bug')
    await clock.advance(2)
    expect(clock.now()).toBe(3)
  })

  it('refuses to be moved twice at once, backwards, or from nowhere', async () => {
    const clock = manualClock(10)
    const moving = clock.advance(1)
    await expect(clock.advance(1)).rejects.toThrow('already being moved')
    await moving
    expect(() => clock.advanceTo(5)).toThrow('backwards')
    expect(() => manualClock('yesterday')).toThrow('not an instant')
  })

  it('keeps a hundred thousand timers in order', async () => {
    const clock = manualClock(0)
    const fired: number[] = []
    let seed = 1
    for (let count = 0; count < 100_000; count++) {
      seed = (seed * 48_271) % 2_147_483_647
      const timer = clock.after(seed % 1_000_000, () => fired.push(clock.now()))
      if (count % 500 !== 0) timer.cancel()
    }
    await clock.advance(1_000_000)
    expect(fired.length).toBe(200)
    expect(fired).toEqual(fired.toSorted((a, b) => a - b))
  })
})
