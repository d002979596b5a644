import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Events, QueueStore } from '@mailwright/core'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type SpoolStoreOptions, spoolStore } from './spool-store.ts'

const CALL = { signal: new AbortController().signal }
const SILENT: Events = { wants: () => false, emit: () => {}, subscribe: () => () => {} }
const LANE = 'smtp:example.org'

function temporarySpool(): string {
  const folder = mkdtempSync(join(tmpdir(), 'mailwright-spool-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Opens it for as long as the work takes. */
async function using<T>(options: SpoolStoreOptions, work: (store: QueueStore) => Promise<T>): Promise<T> {
  const store = spoolStore({ mapSize: 2 ** 26, ...options })
  await store.open(SILENT)
  try {
    return await work(store)
  } finally {
    await store.close()
  }
}

function put(store: QueueStore, id: string): Promise<unknown> {
  const address = { local: 'ann', domain: 'example.org' }
  const entries = [{ lane: LANE, recipients: [{ id: 1, address, original: address }], dueAt: 0 }]
  const head = Buffer.from('Subject: test\r\n\r\n')
  const source = { head, size: head.length, buffered: new Uint8Array(), async *body(): AsyncGenerator<Uint8Array> {} }
  return store.put({ id, sender: null, options: {}, arrivedAt: 0, entries }, source, undefined, CALL)
}

async function idsIn(store: QueueStore): Promise<readonly string[]> {
  return (await store.entries({ limit: 100 })).map(({ message }) => message)
}

/** Claims and settles everything, as a queue would. */
async function deliver(store: QueueStore): Promise<readonly string[]> {
  const claims = await store.claim({ lane: LANE, now: 1, limit: 100, leaseMs: 1_000 })
  const reply = { code: 250, enhanced: '2.0.0', text: 'Ok' } as const
  for (const claim of claims) {
    const outcomes = new Map([[1, { status: 'ok', action: 'relayed', reply } as const]])
    expect(await store.settle(claim, { outcomes, retryAt: 0, counted: true })).toBe('nothing')
  }
  return claims.map(({ entry }) => entry.message).sort()
}

/** Mail in the shards of three workers. */
async function threeShards(directory: string): Promise<void> {
  for (const index of [0, 1, 2])
    await using({ directory, worker: { index, count: 3 } }, (store) => put(store, `m${index}`))
}

describe('a spool', () => {
  it('is the directory itself for one process, and a shard of it for each of several', async () => {
    const [alone, shared] = [temporarySpool(), temporarySpool()]
    await using({ directory: alone }, (store) => put(store, 'm'))
    expect(readdirSync(alone)).toContain('queue')
    await threeShards(shared)
    expect(readdirSync(shared).sort()).toEqual(['worker-0', 'worker-1', 'worker-2'])
  })

  it('is one queue to an operator', async () => {
    const directory = temporarySpool()
    await threeShards(directory)
    await using({ directory, access: 'operator' }, async (store) => {
      expect(await idsIn(store)).toEqual(['m0', 'm1', 'm2'])
      expect(await store.hold({}, 'wait')).toBe(3)
      expect(await store.release({ messages: ['m1'] }, 0)).toBe(1)
    })
  })

  it('that is none is none to an operator, too', async () => {
    await expect(using({ directory: temporarySpool(), access: 'operator' }, idsIn)).rejects.toMatchObject({
      code: 'ERR_MAILWRIGHT_CONFIG',
    })
  })

  it('gives the mail of seats that are gone to worker 0, and to nobody else', async () => {
    const directory = temporarySpool()
    await threeShards(directory)
    const left = await using({ directory, worker: { index: 1, count: 2 } }, deliver)
    const taken = await using({ directory, worker: { index: 0, count: 2 } }, deliver)
    expect({ left, taken }).toEqual({ left: ['m1'], taken: ['m0', 'm2'] })
  })

  it('gives all mail to the one process that is left of three', async () => {
    const directory = temporarySpool()
    await threeShards(directory)
    expect(await using({ directory }, deliver)).toEqual(['m0', 'm1', 'm2'])
    expect(await using({ directory }, idsIn)).toEqual([])
  })

  it('gives the mail of the time without workers to worker 0, who puts his own in his shard', async () => {
    const directory = temporarySpool()
    await using({ directory }, (store) => put(store, 'old'))
    await using({ directory, worker: { index: 0, count: 2 } }, async (store) => {
      await put(store, 'new')
      expect(await deliver(store)).toEqual(['new', 'old'])
      await put(store, 'newer')
    })
    expect(await using({ directory: join(directory, 'worker-0') }, idsIn)).toEqual(['newer'])
  })
})
