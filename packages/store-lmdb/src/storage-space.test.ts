import type { Reply } from '@mailwright/core'
import { describe, expect, it } from 'vitest'
import { StorageSpace } from './storage-space.ts'

function space(minFree: number) {
  const state = { free: 1_000, looks: 0, told: [] as (number | null)[], broken: false }
  const measure = async (): Promise<number> => {
    state.looks += 1
    if (state.broken) throw new Error('no such file system')
    return state.free
  }
  const subject = new StorageSpace(minFree, measure, (reply: Reply | null) => void state.told.push(reply?.code ?? null))
  return { subject, state }
}

describe('storage space', () => {
  it('is looked at as mail comes, every few seconds of the time that comes with it', async () => {
    const { subject, state } = space(500)
    for (const now of [0, 1_000, 4_999, 5_000, 9_000, 10_000]) {
      subject.arrival(now)
      await subject.settled()
    }
    expect(state.looks).toBe(3)
  })

  it('is refused below the minimum and given again above it, and each is said once', async () => {
    const { subject, state } = space(500)
    state.free = 499
    subject.arrival(0)
    await subject.settled()
    expect(subject.refusing()).toMatchObject({ code: 452, enhanced: '4.3.1' })
    await subject.settled()
    state.free = 500
    expect(subject.refusing()).not.toBeNull()
    await subject.settled()
    expect(subject.refusing()).toBeNull()
    expect(state.told).toEqual([452, null])
  })

  it('is refused after a write that failed, until a write succeeds', () => {
    const { subject, state } = space(500)
    subject.failed()
    expect(subject.refusing()).toMatchObject({ code: 452 })
    subject.succeeded()
    expect(subject.refusing()).toBeNull()
    expect(state.told).toEqual([452, null])
  })

  it('is refused after a write that failed, until there is free space', async () => {
    const { subject, state } = space(500)
    state.free = 0
    subject.failed()
    expect(subject.refusing()).not.toBeNull()
    await subject.settled()
    expect(subject.refusing()).not.toBeNull()
    await subject.settled()
    state.free = 1_000
    subject.refusing()
    await subject.settled()
    expect(subject.refusing()).toBeNull()
  })

  it('is looked at once at a time, however many ask', async () => {
    const { subject, state } = space(500)
    subject.failed()
    for (let index = 0; index < 100; index++) subject.refusing()
    await subject.settled()
    expect(state.looks).toBe(1)
  })

  it('that cannot be measured is no reason to refuse, nor to stop refusing', async () => {
    const { subject, state } = space(500)
    state.broken = true
    subject.look()
    await subject.settled()
    expect(subject.refusing()).toBeNull()
    subject.failed()
    subject.refusing()
    await subject.settled()
    expect(subject.refusing()).not.toBeNull()
  })
})
