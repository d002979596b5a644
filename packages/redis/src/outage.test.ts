import type { Arrival, Claim, EventOf } from '@mailwright/core'
import { expect, it } from 'vitest'
import { lossyLine } from './testing-support/lossy-line.ts'
import {
  CALL,
  claimAll,
  contentOf,
  deferred,
  type EventLog,
  LANE,
  letter,
  message,
  openedStore,
  relayed,
} from './testing-support/mail.ts'
import { redisServer, withServer } from './testing-support/redis-server.ts'

const STORE = { code: 'ERR_MAILWRIGHT_STORE' }
const ASKED = { lanes: new Set([LANE]), now: 0, leaseMs: 60_000 }

/** Codes of the replies with which mail was refused, null where that ended. */
function refusals({ log }: EventLog): readonly (number | null)[] {
  return log
    .filter((event): event is EventOf<'store.refusing'> => event.type === 'store.refusing')
    .map(({ reply }) => reply?.code ?? null)
}

withServer('a request whose answer is lost', () => {
  async function world() {
    const { path } = await redisServer()
    const line = await lossyLine(path)
    const { store, events } = await openedStore(line.path)
    const witness = (await openedStore(path)).store
    /** Loses the answer of what is asked, but not what is asked. */
    const unanswered = async <T>(ask: () => Promise<T>, isDone: () => Promise<boolean>): Promise<T> => {
      line.loseAnswers()
      const asked = ask()
      asked.catch(() => undefined)
      await expect.poll(isDone).toBe(true)
      line.cut()
      return asked
    }
    return { store, witness, events, line, unanswered }
  }

  it('is a put that is done once, and its claims are the ones that were made', async () => {
    const { store, witness, unanswered } = await world()
    const claims = await unanswered(
      () => store.put(message('a1'), letter(), ASKED, CALL),
      async () => (await witness.stats()).claimed === 1,
    )
    expect(claims).toHaveLength(1)
    expect(await witness.stats()).toMatchObject({ messages: 1, entries: 1, claimed: 1 })
    expect(await store.settle(claims[0]!, relayed(claims[0]!))).toBe('nothing')
  })

  it('is a put that is done once, also when others have delivered the message meanwhile', async () => {
    const { store, witness, unanswered } = await world()
    let delivered: Claim | undefined
    await unanswered(
      () => store.put(message('a1'), letter(), undefined, CALL),
      async () => {
        delivered ??= (await claimAll(witness))[0]
        if (delivered !== undefined) await witness.settle(delivered, relayed(delivered))
        return delivered !== undefined
      },
    )
    expect(await witness.stats()).toMatchObject({ messages: 0, entries: 0 })
  })

  it('is a claim that is made once', async () => {
    const { store, witness, unanswered } = await world()
    for (const id of ['a1', 'a2', 'a3']) await witness.put(message(id), letter(), undefined, CALL)
    const claims = await unanswered(
      () => store.claim({ lane: LANE, now: 0, limit: 2, leaseMs: 60_000 }),
      async () => (await witness.stats()).claimed === 2,
    )
    expect(claims.map((claim) => claim.entry.message)).toEqual(['a1', 'a2'])
    expect((await contentOf(claims[1]!.message)).toString()).toContain('Hello')
    expect((await claimAll(witness)).map((claim) => claim.entry.message)).toEqual(['a3'])
    for (const claim of claims) await store.settle(claim, relayed(claim))
  })

  it('is a settlement that is done once, and is told what it left', async () => {
    const { store, witness, unanswered } = await world()
    const [first] = await store.put(message('a1'), letter(), ASKED, CALL)
    const [second] = await store.put(message('a2'), letter(), ASKED, CALL)
    expect(
      await unanswered(
        () => store.settle(first!, relayed(first!)),
        async () => (await witness.stats()).messages === 1,
      ),
    ).toBe('nothing')
    expect(
      await unanswered(
        () => store.settle(second!, deferred(second!, 7)),
        async () => (await witness.stats()).deferred === 1,
      ),
    ).toBe('waiting')
    expect(await witness.entries({ limit: 9 })).toMatchObject([{ message: 'a2', attempts: 1, dueAt: 7 }])
  })

  it('is an operator’s change that is told as it was', async () => {
    const { store, witness, unanswered } = await world()
    await witness.suspend({ scope: { kind: 'everything' }, reason: 'moving', since: 0 })
    expect(await store.resume({ kind: 'lane', lane: LANE })).toBe(false)
    const ended = await unanswered(
      () => store.resume({ kind: 'everything' }),
      async () => (await witness.suspensions()).length === 0,
    )
    expect(ended).toBe(true)
  })

  it('is a put that is withdrawn, when the server stays away and the sender was told to try again', async () => {
    const { store, witness, line, events } = await world()
    line.loseAnswers()
    const asked = store.put(message('a1'), letter(), undefined, CALL)
    asked.catch(() => undefined)
    await expect.poll(async () => (await witness.stats()).messages).toBe(1)
    await line.tear()
    await expect(asked).rejects.toMatchObject({ ...STORE, reply: { code: 451 } })
    await line.mend()
    await expect.poll(async () => (await witness.stats()).messages, { timeout: 10_000 }).toBe(0)
    await store.put(message('a2'), letter(), undefined, CALL)
    await expect.poll(() => refusals(events)).toEqual([451, null])
  })

  it('is a settlement that may be asked again later: it is answered, and not repeated', async () => {
    const { store, witness, line } = await world()
    const [claim] = await store.put(message('a1'), letter(), ASKED, CALL)
    line.loseAnswers()
    const asked = store.settle(claim!, deferred(claim!, 5))
    asked.catch(() => undefined)
    await expect.poll(async () => (await witness.stats()).deferred).toBe(1)
    await line.tear()
    await expect(asked).rejects.toMatchObject(STORE)
    await line.mend()
    await expect
      .poll(() => store.settle(claim!, deferred(claim!, 5)).catch(() => 'failed'), { timeout: 10_000 })
      .toBe('waiting')
    expect(await witness.entries({ limit: 9 })).toMatchObject([{ attempts: 1 }])
    await expect(store.settle(claim!, deferred(claim!, 5))).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_CLAIM_LOST' })
  })
})

withServer('while the server is away', () => {
  it('new mail is refused at once, and everything goes on when it is back', async () => {
    const server = await redisServer({ settings: { appendonly: 'yes', appendfsync: 'always' } })
    const { store, events } = await openedStore(server.path)
    const [claim] = await store.put(message('a1'), letter(), ASKED, CALL)
    await store.put(message('a2', 'smtp:example.com'), letter(), undefined, CALL)
    await server.kill()
    await expect.poll(() => store.refusing()).toMatchObject({ code: 451 })
    await expect(store.put(message('a3'), letter(), undefined, CALL)).rejects.toMatchObject({
      ...STORE,
      reply: { code: 451 },
    })
    await expect(store.settle(claim!, relayed(claim!))).rejects.toMatchObject(STORE)
    const woken: Arrival[] = []
    store.onArrival((by) => void woken.push(by))
    await server.start()
    await expect.poll(() => store.refusing(), { timeout: 10_000 }).toBeNull()
    await expect.poll(() => woken.includes('mail'), { timeout: 10_000 }).toBe(true)
    // The subscription was lost too: there may have been an operator.
    await expect.poll(() => woken.includes('operator'), { timeout: 10_000 }).toBe(true)
    expect(await store.settle(claim!, relayed(claim!))).toBe('nothing')
    expect((await store.entries({ limit: 9 })).map((entry) => entry.message)).toEqual(['a2'])
    await expect.poll(() => refusals(events)).toEqual([451, null])
    expect(events.log.filter((event) => event.type === 'failure')).toHaveLength(1)
  })

  it('a server that says nothing is given up in bounded time', async () => {
    const server = await redisServer()
    const { store } = await openedStore(server.path, { patienceMs: 200 })
    await store.put(message('a1'), letter(), undefined, CALL)
    server.pause()
    const late = store.put(message('a2'), letter(), undefined, CALL)
    await expect(late).rejects.toMatchObject({ ...STORE, reply: { code: 451 } })
    expect(store.refusing()).toMatchObject({ code: 451 })
    server.resume()
    await expect.poll(() => store.refusing(), { timeout: 10_000 }).toBeNull()
    // The sender was told to try again, so what it sent is not delivered beside what it sends again.
    await expect
      .poll(async () => (await store.entries({ limit: 9 })).map((entry) => entry.message), { timeout: 5_000 })
      .toEqual(['a1'])
  })

  it('a store is not opened, and may be opened later', async () => {
    const server = await redisServer()
    await server.kill()
    const { redisStore } = await import('./redis-store.ts')
    const store = redisStore({ connection: { path: server.path }, name: 'edge', patienceMs: 300 })
    const { eventLog } = await import('./testing-support/mail.ts')
    await expect(store.open(eventLog())).rejects.toMatchObject(STORE)
    await server.start()
    await store.open(eventLog())
    await store.close()
  })

  it('operators’ words that were lost with the subscription are made up for', async () => {
    const { path } = await redisServer()
    const line = await lossyLine(path)
    const { store } = await openedStore(line.path)
    const other = (await openedStore(path)).store
    await other.put(message('a1'), letter(), undefined, CALL)
    const woken: Arrival[] = []
    store.onArrival((by) => void woken.push(by))
    await line.tear()
    await other.hold({}, 'operator')
    await line.mend()
    await expect.poll(() => woken.includes('operator'), { timeout: 10_000 }).toBe(true)
    woken.length = 0
    await other.release({}, 0)
    await expect.poll(() => woken.includes('operator')).toBe(true)
  })
})

withServer('a server without room', () => {
  it('refuses new mail with 452, lets what is there be delivered, and takes mail again', async () => {
    const { path } = await redisServer({ settings: { maxmemory: '5mb', 'maxmemory-policy': 'noeviction' } })
    const { store, events } = await openedStore(path)
    const claims: Claim[] = []
    let trouble: unknown
    for (let index = 0; trouble === undefined && index < 200; index++)
      await store.put(message(`m${index + 100}`), letter(Buffer.alloc(100_000, 97)), ASKED, CALL).then(
        (given) => claims.push(...given),
        (error: unknown) => {
          trouble = error
        },
      )
    expect(trouble).toMatchObject({ ...STORE, reply: { code: 452 } })
    expect(store.refusing()).toMatchObject({ code: 452 })
    expect(await store.stats()).toMatchObject({ messages: claims.length, claimed: claims.length })
    // A deferral and an operator write, and must all the same be possible.
    await store.settle(claims[0]!, deferred(claims[0]!, 5))
    expect(await store.hold({ messages: [claims[0]!.entry.message] }, 'operator')).toBe(1)
    for (const claim of claims.slice(1)) await store.settle(claim, relayed(claim))
    await expect.poll(() => store.refusing()).toBeNull()
    await store.put(message('a1'), letter(), undefined, CALL)
    expect(refusals(events)).toEqual([452, null])
  })
})
