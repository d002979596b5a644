/**
 * A process that lives through a small day of mail on a real spool, in virtual time, and kills itself at an effect of its
 * store: `node kill-points-child.ts SPOOL JOURNAL [POINT SIDE]`. What happened to the world outside is in the journal,
 * which outlives it; the next process goes on where that ends.
 */
import { appendFileSync, closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import {
  type DeliveryJob,
  formatMailbox,
  type MessageSource,
  type Outcome,
  type QueueStore,
  type RecipientId,
  type Transport,
} from '@mailwright/core'
import { createMta } from '@mailwright/kernel'
import { fieldValue } from '@mailwright/message'
import { type MessageQueue, messageQueue, retryAfter } from '@mailwright/queue'
import { createRouter } from '@mailwright/router'
import { lmdbStore } from '@mailwright/store-lmdb'
import {
  deferred,
  delivered,
  failed,
  mailbox,
  manualClock,
  recipients,
  seededRandom,
  testEnvironment,
} from '@mailwright/testing'

/** Before the store is asked, while it writes, or when it has answered. */
export type KillSide = 'before' | 'during' | 'after'

interface Letter {
  readonly at: number
  readonly to: readonly string[]
  /** Bytes of the body. */
  readonly size: number
  /** ms after its time. */
  readonly notBefore?: number
}

const [MINUTE, HOUR] = [60_000, 3_600_000]
const BEGAN = Date.UTC(2026, 10, 22)
const CALL = { signal: new AbortController().signal }

export const LETTERS: readonly Letter[] = [
  { at: 0, to: ['eve@friends.example'], size: 100 },
  { at: 0, to: ['fay@friends.example', 'gil@twin.example'], size: 2_000 },
  { at: MINUTE, to: ['ghost@friends.example', 'eve@friends.example'], size: 300 },
  { at: MINUTE, to: ['grey@friends.example'], size: 300_000 },
  { at: 2 * MINUTE, to: ['lea@gone.example'], size: 100 },
  { at: 3 * MINUTE, to: ['fay@friends.example'], size: 100, notBefore: HOUR },
]

const ORDERS: readonly { readonly at: number; readonly give: (queue: MessageQueue) => Promise<unknown> }[] = [
  { at: 2 * MINUTE, give: (queue) => queue.hold({ recipient: 'grey@friends.example' }, 'looks odd') },
  { at: 20 * MINUTE, give: (queue) => queue.release({ recipient: 'grey@friends.example' }) },
  { at: 30 * MINUTE, give: (queue) => queue.requeue({ recipient: 'lea@gone.example' }) },
  {
    at: 40 * MINUTE,
    give: (queue) => queue.suspend({ kind: 'lane', lane: 'smtp:twin.example' }, { reason: 'moving' }),
  },
  { at: 50 * MINUTE, give: (queue) => queue.resume({ kind: 'lane', lane: 'smtp:twin.example' }) },
  { at: 2 * HOUR, give: (queue) => queue.flush({}) },
]

/** Letters and orders that the journal says are done, and the last time in it. */
function readJournal(path: string): { readonly done: ReadonlySet<string>; readonly until: number } {
  const lines = readFileSync(path, 'utf8').split('\n').filter(Boolean)
  const until = Math.max(BEGAN, ...lines.map((line) => Number(line.split(' ')[0])))
  return { done: new Set(lines.map((line) => line.slice(line.indexOf(' ') + 1))), until }
}

/** The store's changes are counted; at the chosen one the process is no more. */
function deadly(store: QueueStore, point: number, side: KillSide, count: (effects: number) => void): QueueStore {
  const changes = ['put', 'settle', 'hold', 'release', 'reschedule', 'instruct', 'remove', 'suspend', 'resume'] as const
  const die = (): void => void process.kill(process.pid, 'SIGKILL')
  let effects = 0
  return new Proxy(store, {
    get(target, name): unknown {
      const own: unknown = Reflect.get(target, name)
      if (typeof own !== 'function') return own
      if (!changes.some((each) => each === name)) return own.bind(target)
      return async (...args: readonly unknown[]): Promise<unknown> => {
        effects += 1
        count(effects)
        const isLast = effects === point
        if (isLast && side === 'before') die()
        const change: Promise<unknown> = own.apply(target, args)
        if (isLast && side === 'during') setImmediate(die)
        const result = await change
        if (isLast) die()
        return result
      }
    },
  })
}

/** Answers for the world: some are served, some later, some never. */
function world(tell: (what: string) => void): Transport {
  function outcomeFor(job: DeliveryJob, recipient: string, letter: string | undefined): Outcome {
    if (recipient.startsWith('ghost@')) return failed('550 5.1.1 no such user')
    if (recipient.startsWith('lea@')) return deferred('421 4.4.1 no answer', 'destination')
    if (recipient.startsWith('grey@') && job.attempt < 3) return deferred('451 4.7.1 greylisted')
    if (letter !== undefined) tell(`arrived ${letter} ${recipient}`)
    return delivered('relayed')
  }
  return {
    name: 'smtp',
    async deliver(job): Promise<ReadonlyMap<RecipientId, Outcome>> {
      const letter = fieldValue(job.message.head, 'X-Letter')
      const chunks: Uint8Array[] = []
      for await (const chunk of job.message.body(CALL)) chunks.push(chunk)
      const body = Buffer.concat(chunks)
      if (letter !== undefined && body.length !== LETTERS[Number(letter)]!.size) tell(`damaged ${letter}`)
      if (letter === undefined) {
        const about = /^X-Letter: (\d+)/m.exec(body.toString())?.[1]
        for (const [, recipient] of body.toString().matchAll(/^Final-Recipient: rfc822;\s*(\S+)/gm))
          tell(`returned ${about} ${recipient}`)
      }
      return new Map(
        job.envelope.recipients.map(({ id, address }) => [id, outcomeFor(job, formatMailbox(address), letter)]),
      )
    },
  }
}

/** The letter, its large body on the spool as an intake would leave it. */
async function letterSource(queue: MessageQueue, number: number, size: number): Promise<MessageSource> {
  const head = Buffer.from(`X-Letter: ${number}\r\nSubject: a letter\r\n\r\n`)
  const body = Buffer.alloc(size, 'From here on\r\n')
  if (size < 131_072) {
    return {
      head,
      size: head.length + size,
      buffered: body,
      async *body(): AsyncGenerator<Uint8Array> {
        yield body
      },
    }
  }
  const spool = queue.spool!()
  await spool.write(body)
  const spooled = await spool.finish()
  return { head, size: head.length + size, spooled, body: (call) => spooled.read(call) }
}

async function live(directory: string, path: string, point: number, side: KillSide): Promise<void> {
  appendFileSync(path, '')
  const { done, until } = readJournal(path)
  const journal = openSync(path, 'a')
  const store = lmdbStore({ directory, mapSize: 2 ** 28 })
  const clock = manualClock(until, { busy: () => store.busy() })
  const tell = (what: string): void => void writeSync(journal, `${clock.now()} ${what}\n`)
  const environment = testEnvironment({ clock, random: seededRandom(until) })
  const mta = createMta({ name: 'mortal', environment })
  let effects = 0
  const queue = mta.use(
    messageQueue({
      hostname: 'mortal.example',
      store: deadly(store, point, side, (count) => {
        effects = count
      }),
      router: createRouter({ hostname: 'mortal.example' }),
      transports: { smtp: world(tell) },
      retry: retryAfter('10m', '1h', '12h'),
    }),
  )
  mta.events.subscribe((event) => {
    if (event.type === 'failure') tell(`failure ${event.where} ${String(event.error)}`)
  })
  await mta.start()

  let open = 0
  const plan = (at: number, what: string, work: () => Promise<string | undefined>): void => {
    if (done.has(what)) return
    open += 1
    const attempt = async (): Promise<void> => {
      const answer = await work()
      if (answer === undefined) return void clock.after(MINUTE, () => void attempt())
      tell(answer)
      open -= 1
    }
    clock.after(Math.max(0, BEGAN + at - until), () => void attempt())
  }
  for (const [number, { at, to, size, notBefore }] of LETTERS.entries())
    plan(at, `acknowledged ${number}`, async () => {
      const sent = { sender: mailbox('ann@home.example'), recipients: recipients(...to) }
      const options = notBefore === undefined ? {} : { notBefore: BEGAN + at + notBefore }
      const message = await letterSource(queue, number, size)
      const id = `letter-${number}-${until - BEGAN}`
      const job = { id, envelope: { ...sent, options }, message, arrivedAt: clock.now(), attempt: 1 }
      const outcomes = [...(await queue.deliver(job, CALL)).values()]
      return outcomes.every(({ status }) => status === 'ok') ? `acknowledged ${number}` : undefined
    })
  for (const [number, { at, give }] of ORDERS.entries())
    plan(at, `ordered ${number}`, async () => {
      await give(queue)
      return `ordered ${number}`
    })

  await clock.settle()
  while (open > 0 || (await queue.stats()).messages > 0) {
    if (clock.next === undefined) throw new Error('nothing will ever happen again')
    await clock.advanceTo(clock.next)
  }
  await clock.until(mta.stop())
  tell(`effects ${effects}`)
  closeSync(journal)
}

const [directory, journal, point = '0', side = 'before'] = process.argv.slice(2)
await live(directory!, journal!, Number(point), side as KillSide)
