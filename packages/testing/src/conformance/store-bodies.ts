/** Bodies of every size and content, and the spool they may be written to while they arrive. */
import type { Call, MessageSource, QueueStore, SpooledBody } from '@mailwright/core'
import { expect } from 'vitest'
import {
  CALL,
  claimOne,
  collect,
  contentOf,
  draft,
  ids,
  letter,
  RELAYED,
  type StoreCase,
  settleAll,
} from './store-fixture.ts'

const HEAD = Buffer.from('Subject: large\r\n\r\n')
const EVERY_BYTE = Uint8Array.from({ length: 256 }, (_, value) => value)

/** Bytes that differ from place to place, so that a lost or doubled chunk shows. */
function pattern(size: number): Buffer {
  const bytes = Buffer.allocUnsafe(size)
  for (let index = 0; index < size; index++) bytes[index] = (index * 31 + (index >>> 8) * 7 + (index >>> 16)) & 0xff
  return bytes
}

async function spoolBody(store: QueueStore, body: Uint8Array, chunkSize: number): Promise<SpooledBody> {
  const spool = store.spool()
  for (let at = 0; at < body.length; at += chunkSize) await spool.write(body.subarray(at, at + chunkSize))
  return spool.finish()
}

function spooledLetter(spooled: SpooledBody): MessageSource {
  return { head: HEAD, size: HEAD.length + spooled.size, spooled, body: (call: Call) => spooled.read(call) }
}

/** A message whose body comes in chunks from somewhere that is not the store. */
function foreignLetter(body: Uint8Array, chunkSize: number): MessageSource {
  return {
    head: HEAD,
    size: HEAD.length + body.length,
    async *body(call: Call): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < body.length; at += chunkSize) {
        call.signal.throwIfAborted()
        yield body.subarray(at, at + chunkSize)
      }
    },
  }
}

async function expectKept(store: QueueStore, body: Uint8Array): Promise<void> {
  const whole = Buffer.concat([HEAD, body])
  const claim = await claimOne(store)
  expect(claim.message.size).toBe(whole.length)
  expect(whole.equals(await contentOf(claim.message))).toBe(true)
  expect(whole.equals(await contentOf(claim.message))).toBe(true)
  expect(whole.equals(await contentOf((await store.read('a1'))!))).toBe(true)
  expect(await store.stats()).toMatchObject({ bytes: whole.length })
  await settleAll(store, claim, RELAYED)
  expect(await store.read('a1')).toBeUndefined()
  expect(await store.stats()).toMatchObject({ bytes: 0 })
}

const SIZES = [0, 1, 4_096, 131_072, 131_073, 1_500_000]

export const BODY_CASES: readonly StoreCase[] = [
  ...SIZES.flatMap((size): readonly StoreCase[] => [
    {
      title: `a body of ${size} bytes in memory comes back byte for byte`,
      async run({ store }) {
        await store.put(draft('a1'), letter(pattern(size), HEAD), undefined, CALL)
        await expectKept(store, pattern(size))
      },
    },
    {
      title: `a body of ${size} bytes written to the spool comes back byte for byte`,
      async run({ store }) {
        const spooled = await spoolBody(store, pattern(size), 60_001)
        expect(spooled.size).toBe(size)
        expect(pattern(size).equals(await collect(spooled.read(CALL)))).toBe(true)
        await store.put(draft('a1'), spooledLetter(spooled), undefined, CALL)
        await expectKept(store, pattern(size))
      },
    },
    {
      title: `a body of ${size} bytes from elsewhere comes back byte for byte`,
      async run({ store }) {
        await store.put(draft('a1'), foreignLetter(pattern(size), 50_000), undefined, CALL)
        await expectKept(store, pattern(size))
      },
    },
  ]),
  {
    title: 'every byte value survives, in head and body',
    async run({ store }) {
      await store.put(draft('a1'), letter(EVERY_BYTE, EVERY_BYTE), undefined, CALL)
      expect((await contentOf((await store.read('a1'))!)).equals(Buffer.concat([EVERY_BYTE, EVERY_BYTE]))).toBe(true)
    },
  },
  {
    title: 'a message without a head and without a body is a message',
    async run({ store }) {
      await store.put(draft('a1'), letter('', new Uint8Array()), undefined, CALL)
      expect((await store.read('a1'))?.size).toBe(0)
      await settleAll(store, await claimOne(store), RELAYED)
      expect(await ids(store)).toEqual([])
    },
  },
  {
    title: 'a spooled body given with another head keeps both',
    async run({ store }) {
      const spooled = await spoolBody(store, pattern(200_000), 8_192)
      const head = Buffer.from('Received: from here\r\nSubject: large\r\n\r\n')
      await store.put(draft('a1'), { ...spooledLetter(spooled), head, size: head.length + 200_000 }, undefined, CALL)
      const content = await contentOf((await store.read('a1'))!)
      expect(content.equals(Buffer.concat([head, pattern(200_000)]))).toBe(true)
    },
  },
  {
    title: 'discarding a spooled body that became part of a message does not touch it',
    async run({ store }) {
      const spooled = await spoolBody(store, pattern(200_000), 65_536)
      await store.put(draft('a1'), spooledLetter(spooled), undefined, CALL)
      await spooled.discard()
      await expectKept(store, pattern(200_000))
    },
  },
  {
    title: 'a large message put and claimed in one step can be read by its claim',
    async run({ store }) {
      const spooled = await spoolBody(store, pattern(200_000), 65_536)
      const claim = { lanes: new Set([draft('a1').entries[0]!.lane]), now: draft('a1').arrivedAt, leaseMs: 1_000 }
      const [claimed] = await store.put(draft('a1'), spooledLetter(spooled), claim, CALL)
      await spooled.discard()
      expect((await contentOf(claimed!.message)).subarray(HEAD.length).equals(pattern(200_000))).toBe(true)
      await settleAll(store, claimed!, RELAYED)
      expect(await ids(store)).toEqual([])
    },
  },
  {
    title: 'spools that are discarded or aborted leave nothing behind',
    async run({ store }) {
      const spooled = await spoolBody(store, pattern(200_000), 65_536)
      await spooled.discard()
      await spooled.discard()
      const spool = store.spool()
      await spool.write(pattern(100_000))
      await spool.abort()
      await spool.abort()
      await store.spool().abort()
      expect(await store.stats()).toMatchObject({ messages: 0, bytes: 0 })
    },
  },
  {
    title: 'the same id twice keeps the first large body, and the second may be discarded',
    async run({ store }) {
      await store.put(draft('a1'), spooledLetter(await spoolBody(store, pattern(200_000), 65_536)), undefined, CALL)
      const second = await spoolBody(store, Buffer.alloc(200_000), 65_536)
      expect(await store.put(draft('a1'), spooledLetter(second), undefined, CALL)).toEqual([])
      await second.discard()
      await expectKept(store, pattern(200_000))
    },
  },
  {
    title: 'a source that fails half way stores nothing',
    async run({ store }) {
      const failing: MessageSource = {
        head: HEAD,
        size: HEAD.length + 400_000,
        async *body(): AsyncGenerator<Uint8Array> {
          yield pattern(200_000)
          throw new Error('connection lost')
        },
      }
      await expect(store.put(draft('a1'), failing, undefined, CALL)).rejects.toThrow()
      expect(await ids(store)).toEqual([])
      expect(await store.stats()).toMatchObject({ messages: 0, bytes: 0 })
    },
  },
  {
    title: 'reading a body ends when its reader gives up',
    async run({ store }) {
      await store.put(draft('a1'), letter(pattern(1_500_000), HEAD), undefined, CALL)
      const stored = await store.read('a1')
      const given = new AbortController()
      given.abort(new Error('given up'))
      await expect(collect(stored!.body({ signal: given.signal }))).rejects.toThrow('given up')
      for await (const chunk of stored!.body(CALL)) {
        expect(chunk.length).toBeGreaterThan(0)
        break
      }
      expect((await contentOf(stored!)).length).toBe(HEAD.length + 1_500_000)
    },
  },
]
