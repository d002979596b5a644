/** What the system says of the file by which other processes wake the owner. */
import { EventEmitter } from 'node:events'
import { expect, it, vi } from 'vitest'
import { lmdbStore } from './lmdb-store.ts'
import { CALL, eventLog, letter, message, spoolDirectory } from './testing-support/spool-directory.ts'

const watched = vi.hoisted(() => ({ watcher: undefined as unknown, change: (): void => {} }))

vi.mock('node:fs', async (original) => ({
  ...(await original<typeof import('node:fs')>()),
  watch: (_path: string, _options: object, change: () => void): unknown => {
    watched.change = change
    return watched.watcher
  },
}))

async function opened() {
  const watcher = Object.assign(new EventEmitter(), { close: vi.fn() })
  watched.watcher = watcher
  const directory = await spoolDirectory()
  const store = lmdbStore({ directory, minFree: 0 })
  const events = eventLog()
  await store.open(events)
  return { directory, store, events, watcher }
}

it('a watch that fails is told of, and mail is taken as before', async () => {
  const { directory, store, events, watcher } = await opened()
  const error = new Error('inotify is gone')
  watcher.emit('error', error)
  expect(events.log).toContainEqual({ type: 'failure', where: `watching ${directory}`, error })
  await store.put(message('a1'), letter(), undefined, CALL)
  expect(await store.entries({ limit: 9 })).toHaveLength(1)
  await store.close()
  expect(watcher.close).toHaveBeenCalledOnce()
})

it('a change that is seen while the store closes wakes nobody', async () => {
  const { store } = await opened()
  const arrivals: string[] = []
  store.onArrival((by) => void arrivals.push(by))
  watched.change()
  expect(arrivals).toEqual(['operator'])
  await store.close()
  watched.change()
  expect(arrivals).toEqual(['operator'])
})
