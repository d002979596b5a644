/** Storage that is full, fails or hangs: the client is told to come again, and what was promised is kept. */
import { type Call, MailwrightError, reply, type Spool } from '@mailwright/core'
import { memoryStore } from '@mailwright/queue'
import { expect, test } from 'vitest'
import { type Faults, faultyStore } from './faulty-store.ts'
import { ask, ENVELOPE, greet, stuffed, submit } from './speech.ts'
import { openWorld, type World } from './world.ts'

const FULL = reply(452, '4.3.1', 'Insufficient system storage')
const SECRET = 'disk 7 is on fire'

async function offer(world: World, size = 1_000): Promise<string> {
  const client = await world.target.connect()
  await greet(client)
  await ask(client, `${ENVELOPE}DATA\r\n`)
  const letter = world.target.ledger.write(size)
  await client.pour(stuffed(letter))
  const answer = (await world.clock.until(client.reply())) ?? ''
  if (answer.startsWith('250')) world.target.ledger.promise(letter)
  expect(client.said).not.toContain(SECRET)
  await ask(client, 'QUIT\r\n')
  return answer.slice(0, 9)
}

function brokenSpool(faults: Partial<Spool>, spool: () => Spool): () => Spool {
  return () => {
    const inner = spool()
    return {
      write: faults.write ?? ((chunk) => inner.write(chunk)),
      finish: faults.finish ?? (() => inner.finish()),
      abort: () => inner.abort(),
    }
  }
}

const fail = (): never => {
  throw new Error(SECRET)
}
const failLater = async (): Promise<never> => fail()
/** Waits until it is told that nobody waits any more. */
const abortOf = ({ signal }: Call): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
const LARGE = 400_000

const PROBLEMS: readonly (readonly [string, number, string, (store: ReturnType<typeof memoryStore>) => Faults])[] = [
  [
    'is full',
    1_000,
    '452 4.3.1',
    () => ({ put: () => Promise.reject(new MailwrightError('ERR_MAILWRIGHT_STORE', SECRET, { reply: FULL })) }),
  ],
  ['cannot write', 1_000, '451 4.3.0', () => ({ put: failLater })],
  ['throws where it should reject', 1_000, '451 4.3.0', () => ({ put: fail })],
  ['hangs', 1_000, '451 4.3.0', () => ({ put: (_message, _source, _claim, call) => abortOf(call) })],
  [
    'fails after the message was written',
    1_000,
    '451 4.3.0',
    (store) => ({
      async put(message, source, _claim, call) {
        await store.put(message, source, undefined, call)
        return fail()
      },
    }),
  ],
  ['has no room for a large body', LARGE, '451 4.3.0', () => ({ spool: fail })],
  [
    'fails while a large body arrives',
    LARGE,
    '451 4.3.0',
    (store) => ({ spool: brokenSpool({ write: failLater }, () => store.spool()) }),
  ],
  [
    'throws while a large body arrives',
    LARGE,
    '451 4.3.0',
    (store) => ({ spool: brokenSpool({ write: fail }, () => store.spool()) }),
  ],
  [
    'fails at the end of a large body',
    LARGE,
    '451 4.3.0',
    (store) => ({ spool: brokenSpool({ finish: failLater }, () => store.spool()) }),
  ],
]

test.each(PROBLEMS)(
  'a store that %s: the client is asked to come again, and can',
  async (_what, size, answer, faults) => {
    const inner = memoryStore()
    const { store, break: breakStore } = faultyStore(inner)
    const world = await openWorld({ store })
    expect(await offer(world, size)).toBe('250 2.0.0')
    breakStore(faults(inner))
    expect(await offer(world, size)).toBe(answer)
    breakStore({})
    expect(await offer(world, size)).toBe('250 2.0.0')
    await world.clock.advance('1h')
    expect(await world.target.queue.stats()).toMatchObject({ messages: 0 })
    expect(world.target.ledger).toMatchObject({ promised: 2 })
    await world.close()
  },
)

test('a store that takes nothing now is asked before the client has sent its message', async () => {
  const { store, break: breakStore } = faultyStore(memoryStore())
  const world = await openWorld({ store })
  const client = await world.target.connect()
  await greet(client)
  await ask(client, ENVELOPE)
  breakStore({ refusing: () => FULL })
  expect(await ask(client, 'DATA\r\nRSET\r\nMAIL FROM:<ann@example.net>\r\n')).toMatchObject([
    expect.stringMatching(/^452 4\.3\.1 /),
    expect.stringMatching(/^250 /),
    expect.stringMatching(/^452 4\.3\.1 /),
  ])
  breakStore({})
  expect(await submit(client, world.scene, world.target.ledger.write(100))).toBe(true)
  client.leave('end')
  await world.clock.settle()
  await world.close()
})

test('a store that really fills up refuses, and takes mail again when the backlog has gone', async () => {
  const world = await openWorld({ store: memoryStore({ maxBytes: 100_000 }), deferrals: 100 })
  const answers: string[] = []
  while (answers.at(-1)?.startsWith('452') !== true && answers.length < 50) answers.push(await offer(world, 10_000))
  expect(answers.slice(0, -1)).toEqual(answers.slice(1).map(() => '250 2.0.0'))
  expect(world.target.ledger).toMatchObject({ promised: answers.length - 1, arrived: 0 })
  world.target.ledger.deferrals = 0
  await world.clock.advance('1h')
  expect(await offer(world, 10_000)).toBe('250 2.0.0')
  await world.clock.advance('1h')
  expect(world.target.ledger.missing()).toEqual([])
  await world.close()
})

test.each(['settle', 'claim', 'lanes', 'nextDue'] as const)(
  'a store that fails at %s for a while delivers late, or twice, but loses nothing',
  async (method) => {
    const { store, break: breakStore } = faultyStore(memoryStore())
    const world = await openWorld({ store, deferrals: 50 })
    for (let count = 0; count < 10; count++) expect(await offer(world)).toBe('250 2.0.0')
    breakStore({ [method]: failLater })
    for (let count = 0; count < 10; count++) expect(await offer(world)).toBe('250 2.0.0')
    await world.clock.advance('15m')
    breakStore({})
    await world.clock.advance('1h')
    expect(await world.target.queue.stats()).toMatchObject({ messages: 0 })
    expect(world.target.ledger).toMatchObject({ promised: 20, arrived: 20 })
    await world.close()
  },
)
