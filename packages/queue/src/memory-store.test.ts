import type { Call, MessageSource } from '@mailwright/core'
import { storeConformance } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { memoryStore } from './memory-store.ts'

storeConformance({
  name: 'memoryStore',
  create: async () => {
    const store = memoryStore()
    return { store, reopen: async () => store, dispose: async () => {} }
  },
  histories: 200,
})

const CALL: Call = { signal: new AbortController().signal }
const EVENTS = { wants: () => false, emit: () => {}, subscribe: () => () => {} }

function message(id: string) {
  const address = { local: 'ann', domain: 'example.org' }
  const recipient = { id: 1, address, original: address }
  const entries = [{ lane: 'smtp:example.org', recipients: [recipient], dueAt: 0 }]
  return { id, sender: null, options: {}, arrivedAt: 0, entries }
}

function letter(size: number): MessageSource {
  const buffered = new Uint8Array(size)
  return { head: new Uint8Array(), size, buffered, body: () => Promise.reject(new Error('not read')) as never }
}

describe('a memory store with a limit', () => {
  it('refuses mail beyond it with 452, and takes mail again when some has left', async () => {
    const store = memoryStore({ maxBytes: 100 })
    await store.open(EVENTS)
    await store.put(message('a1'), letter(60), undefined, CALL)
    expect(store.refusing()).toBeNull()
    await expect(store.put(message('a2'), letter(60), undefined, CALL)).rejects.toMatchObject({
      code: 'ERR_MAILWRIGHT_STORE',
      reply: { code: 452, enhanced: '4.3.1' },
    })
    await store.put(message('a3'), letter(40), undefined, CALL)
    expect(store.refusing()).toMatchObject({ code: 452 })
    await store.remove({ messages: ['a1'] })
    expect(store.refusing()).toBeNull()
    await store.put(message('a2'), letter(60), undefined, CALL)
  })

  it('cannot be opened twice', async () => {
    const store = memoryStore()
    await store.open(EVENTS)
    await expect(store.open(EVENTS)).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_STORE_BUSY' })
  })
})

describe('a place for a body in a memory store', () => {
  it('takes nothing more once the body is whole or given up', async () => {
    const store = memoryStore()
    const [whole, givenUp] = [store.spool(), store.spool()]
    whole.write(Buffer.from('Hello'))
    expect((await whole.finish()).size).toBe(5)
    await givenUp.abort()
    const stopped = expect.objectContaining({ code: 'ERR_MAILWRIGHT_STOPPED' })
    expect(() => whole.write(Buffer.from('more'))).toThrow(stopped)
    expect(() => givenUp.write(Buffer.from('more'))).toThrow(stopped)
  })
})
