/** Marks on a system that does not tell when a process began. */
import { expect, it, vi } from 'vitest'
import { isRunning, processMark } from './process-mark.ts'

vi.mock('node:fs/promises', async (original) => ({
  ...(await original<typeof import('node:fs/promises')>()),
  readFile: () => Promise.reject(Object.assign(new Error('no /proc'), { code: 'ENOENT' })),
}))

it('a process is known by its number alone where the system tells no more', async () => {
  expect(await processMark()).toBe(String(process.pid))
  expect(await isRunning(String(process.pid))).toBe(true)
  // No system gives such a number to a process.
  expect(await isRunning('2147483647')).toBe(false)
  // A mark from where more was told: whether that is the same process cannot be known, so its files are nobody's.
  expect(await isRunning(`${process.pid}.1234`)).toBe(false)
})
