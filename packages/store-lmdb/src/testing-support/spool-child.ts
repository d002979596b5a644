/** The program of `spoolProcess` and of the crash and trace tests. */
import { rmSync, writeFileSync, writeSync } from 'node:fs'
import type { Call, Events, MessageSource, NewMessage } from '@mailwright/core'
import { type LmdbStore, lmdbStore } from '../index.ts'
import { bodyOf } from './churn.ts'

const CALL: Call = { signal: new AbortController().signal }
const EVENTS: Events = { wants: () => false, emit: () => {}, subscribe: () => () => {} }
const HEAD = Buffer.from('Subject: test\r\n\r\n')
const [, , mode, directory = '', option = ''] = process.argv

if (mode === 'serve') await serve(option === 'owner' ? 'owner' : 'operator')
else if (mode === 'churn') await churn(option)
else if (mode === 'trace') await trace()
else if (mode === 'fill') await fill()
else if (mode === 'fillDisk') await fillDisk()
else if (mode === 'drain') for (const spool of process.argv.slice(3)) await drain(spool)

/** Does what the parent says. */
async function serve(access: 'owner' | 'operator'): Promise<void> {
  const store = lmdbStore({ directory, access, minFree: 0 })
  const answer = async (work: () => Promise<unknown>): Promise<void> => {
    try {
      process.send!({ value: await work() })
    } catch (error) {
      process.send!({ code: (error as { code?: string }).code ?? String(error) })
    }
  }
  await answer(() => store.open(EVENTS))
  process.on('message', ({ method, args }: { method: 'put' | 'hold'; args: never[] }) => {
    void answer(() =>
      method === 'put'
        ? putText(store, ...(args as unknown as [NewMessage, string]))
        : store[method](...(args as unknown as [never, never])),
    )
  })
}

async function putText(store: LmdbStore, message: NewMessage, text: string): Promise<unknown> {
  return store.put(message, letter(Buffer.from(text)), undefined, CALL)
}

/**
 * Puts, claims and settles for ever, eight at a time, and says so: `P id` when a message is put, `S id` before its end
 * is settled, `D id` when that is done. Some are deferred, of which nothing is said.
 */
async function churn(seed: string): Promise<void> {
  const store = lmdbStore({ directory, minFree: 0 })
  await store.open(EVENTS)
  let count = 0
  const worker = async (): Promise<never> => {
    for (;;) {
      const number = ++count
      const id = `c${seed}-${String(number).padStart(6, '0')}`
      const lane = `smtp:${number % 5}`
      const claim = number % 2 === 0 ? { lanes: new Set([lane]), now: 1, leaseMs: 1_000_000 } : undefined
      const claims = await store.put(messageFor(id, lane), await sourceFor(store, id), claim, CALL)
      writeSync(1, `P ${id}\n`)
      for (const each of number % 3 === 0
        ? await store.claim({ lane, now: 1, limit: 1, leaseMs: 1_000_000 })
        : claims) {
        if (number % 8 === 0) {
          const reply = { code: 451, enhanced: '4.3.0', text: 'Later' } as const
          const outcomes = new Map([[1, { status: 'deferred', scope: 'recipient', reply } as const]])
          await store.settle(each, { outcomes, retryAt: 2, counted: true })
          continue
        }
        writeSync(1, `S ${each.entry.message}\n`)
        const reply = { code: 250, enhanced: '2.0.0', text: 'Ok' } as const
        const outcomes = new Map([[1, { status: 'ok', action: 'relayed', reply } as const]])
        await store.settle(each, { outcomes, retryAt: 0, counted: true })
        writeSync(1, `D ${each.entry.message}\n`)
      }
    }
  }
  await Promise.all(Array.from({ length: 8 }, worker))
}

/** Puts one small and one large message and says when each begins and is done: for a look at the system calls. */
async function trace(): Promise<void> {
  const store = lmdbStore({ directory, minFree: 0 })
  await store.open(EVENTS)
  writeSync(1, 'BEGIN small\n')
  const claims = await store.put(
    messageFor('small', 'a'),
    letter(Buffer.alloc(4_096, 97)),
    { lanes: new Set(['a']), now: 1, leaseMs: 1_000 },
    CALL,
  )
  writeSync(1, 'DONE small\n')
  const spool = store.spool()
  await spool.write(Buffer.alloc(300_000, 98))
  const spooled = await spool.finish()
  const source = { head: HEAD, size: HEAD.length + spooled.size, spooled, body: (call: Call) => spooled.read(call) }
  writeSync(1, 'BEGIN large\n')
  await store.put(messageFor('large', 'b'), source, undefined, CALL)
  writeSync(1, 'DONE large\n')
  writeSync(1, 'BEGIN settle\n')
  const reply = { code: 250, enhanced: '2.0.0', text: 'Ok' } as const
  await store.settle(claims[0]!, {
    outcomes: new Map([[1, { status: 'ok', action: 'relayed', reply }]]),
    retryAt: 0,
    counted: true,
  })
  writeSync(1, 'DONE settle\n')
  await store.close()
}

/** Puts until the disk is full, and says how that went. */
async function fill(): Promise<void> {
  const store = lmdbStore({ directory, minFree: 0 })
  await store.open(EVENTS)
  let stored = 0
  try {
    for (; stored < 100_000; stored++)
      await store.put(
        messageFor(`m${String(stored).padStart(6, '0')}`, 'a'),
        letter(Buffer.alloc(20_000, 97)),
        undefined,
        CALL,
      )
  } catch (error) {
    const { code, reply } = error as { code?: string; reply?: { code: number; enhanced: string } }
    const large = await store
      .put(messageFor('x', 'a'), letter(Buffer.alloc(9_000_000)), undefined, CALL)
      .catch((trouble: { code?: string }) => trouble.code)
    const refusing = store.refusing()?.code
    const { messages } = await store.stats()
    writeSync(1, `${JSON.stringify({ stored, messages, code, reply, refusing, large })}\n`)
  }
  await store.close()
}

/** On a small disk of its own: puts until mail is refused, then until the disk is full, makes room, and says how all that went. */
async function fillDisk(): Promise<void> {
  const ballast = `${directory}/ballast`
  writeFileSync(ballast, Buffer.alloc(4_000_000))
  const events: string[] = []
  const store = lmdbStore({ directory: `${directory}/spool`, minFree: 1_500_000 })
  await store.open({
    ...EVENTS,
    emit: (event) =>
      void events.push(event.type === 'store.refusing' ? `${event.reply?.code ?? 'taking'}` : event.type),
  })
  let stored = 0
  const put = (): Promise<unknown> => {
    const id = `m${String(stored).padStart(6, '0')}`
    return store.put(
      { ...messageFor(id, 'a'), arrivedAt: stored * 10_000 },
      letter(Buffer.alloc(20_000, 97)),
      undefined,
      CALL,
    )
  }
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  for (; store.refusing() === null && stored < 1_000; stored++) await put()
  const beforeRefused = stored
  let failed: { code?: string; reply?: { code: number } } = {}
  try {
    for (; stored < 1_000; stored++) await put()
  } catch (error) {
    failed = error as typeof failed
  }
  const { messages } = await store.stats()
  rmSync(ballast)
  let turns = 0
  for (; store.refusing() !== null && turns < 100_000; turns++) await turn()
  await put()
  const entries = await store.entries({ limit: 1_000 })
  let whole = 0
  for (const entry of entries) whole += (await store.read(entry.message))!.size === 20_017 ? 1 : 0
  await store.close()
  const { code, reply } = failed
  writeSync(1, JSON.stringify({ beforeRefused, stored, messages, code, reply: reply?.code, whole, events }))
}

/**
 * Opens a spool that may be damaged and delivers all it can. Says in a line how that went: `drained` or `refused`, and
 * anything else that ought not to be.
 */
async function drain(spool: string): Promise<void> {
  const said = (word: string, error?: unknown): void => {
    const { code, message, cause } = (error ?? {}) as { code?: string; message?: string; cause?: unknown }
    writeSync(1, `${JSON.stringify({ spool, said: word, code, message, cause: cause && String(cause) })}\n`)
  }
  const store = lmdbStore({ directory: spool, minFree: 0, cacheBytes: 0 })
  try {
    await store.open(EVENTS)
  } catch (error) {
    said('refused', error)
    return
  }
  let rounds = 0
  try {
    await store.stats()
    await store.shape({ now: 0, ages: [0], limit: 10 })
    await store.entries({ limit: 1_000 })
    for (; rounds < 100; rounds++) {
      const lanes = await store.lanes({ now: Number.MAX_SAFE_INTEGER, limit: 100 })
      if (lanes.length === 0) break
      for (const { lane } of lanes) await deliver(store, lane)
    }
    said(rounds < 100 ? 'drained' : 'went round in circles')
  } catch (error) {
    said('failed', error)
  }
  await store.close().catch((error: unknown) => said('did not close', error))
}

async function deliver(store: LmdbStore, lane: string): Promise<void> {
  const claims = await store.claim({ lane, now: Number.MAX_SAFE_INTEGER, limit: 50, leaseMs: 1 })
  for (const claim of claims) {
    const reply = { code: 250, enhanced: '2.0.0', text: 'Ok' } as const
    const outcomes = new Map(
      claim.entry.recipients.map(({ id }) => [id, { status: 'ok', action: 'relayed', reply } as const]),
    )
    try {
      for await (const _ of claim.message.body(CALL));
    } catch (error) {
      if ((error as { code?: string }).code !== 'ERR_MAILWRIGHT_STORE') throw error
    }
    await store.settle(claim, { outcomes, retryAt: 0, counted: true })
  }
}

function messageFor(id: string, lane: string): NewMessage {
  const address = { local: 'ann', domain: 'example.org' }
  const entries = [{ lane, recipients: [{ id: 1, address, original: address }], dueAt: 0 }]
  return { id, sender: null, options: {}, arrivedAt: 0, entries }
}

async function sourceFor(store: LmdbStore, id: string): Promise<MessageSource> {
  const body = bodyOf(id)
  if (body.length < 100_000) return letter(body)
  const spool = store.spool()
  for (let at = 0; at < body.length; at += 65_536) await spool.write(body.subarray(at, at + 65_536))
  const spooled = await spool.finish()
  return { head: HEAD, size: HEAD.length + spooled.size, spooled, body: (call) => spooled.read(call) }
}

function letter(buffered: Uint8Array): MessageSource {
  const size = HEAD.length + buffered.length
  return { head: HEAD, size, buffered, body: () => [buffered] as unknown as AsyncIterable<Uint8Array> }
}
