/**
 * What the disk store does by itself, without SMTP: mail put and settled in one go, deferrals, statistics and a removal
 * beside arriving mail, in an empty queue and in a full one.
 *
 *     node test/bench/store.ts [messages in the full queue, default 100000] [directory]
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Call, Claim, Events, MessageSource, NewMessage, Outcome } from '@mailwright/core'
import { type LmdbStore, lmdbStore } from '@mailwright/store-lmdb'

const CALL: Call = { signal: new AbortController().signal }
const SILENT: Events = { wants: () => false, emit: () => {}, subscribe: () => () => {} }
const HEAD = Buffer.from('Subject: measured\r\n\r\n')
const BODY = Buffer.alloc(4_096, 97)
const RELAYED: Outcome = { status: 'ok', action: 'relayed', reply: { code: 250, enhanced: '2.0.0', text: 'Ok' } }
const DEFERRED: Outcome = {
  status: 'deferred',
  scope: 'recipient',
  reply: { code: 451, enhanced: '4.3.0', text: 'Later' },
}
/** Messages under way at the same time. */
const AT_ONCE = 50
const ROUND = 5_000

const [, , backlog = '100000', given] = process.argv
const directory = given ?? (await mkdtemp(join(tmpdir(), 'mailwright-bench-')))
let ids = 0

/** Mail for one of a hundred destinations. */
function message(kind: string): NewMessage {
  const number = ++ids
  const address = { local: 'ann', domain: `d${number % 100}.example` }
  const recipients = [{ id: 1, address, original: address }]
  const lane = `smtp:${kind}${number % 100}.example`
  const id = String(number).padStart(9, '0')
  return { id, sender: address, options: {}, arrivedAt: number * 10, entries: [{ lane, recipients, dueAt: 0 }] }
}

const source = (body: Buffer): MessageSource => ({
  head: HEAD,
  size: HEAD.length + body.length,
  buffered: body,
  body: () => [body] as unknown as AsyncIterable<Uint8Array>,
})

/** Does something so many times, as much at once as a busy server would, and says how fast that was. */
async function rate(what: string, count: number, work: () => Promise<unknown>): Promise<void> {
  const began = performance.now()
  const cpu = process.cpuUsage()
  let left = count
  const worker = async (): Promise<void> => {
    while (left-- > 0) await work()
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  const seconds = (performance.now() - began) / 1_000
  const { user, system } = process.cpuUsage(cpu)
  const perMessage = (user + system) / 1_000 / count
  console.log(`${what.padEnd(44)} ${Math.round(count / seconds)}/s  ${perMessage.toFixed(3)} ms CPU each`)
}

async function timed<T>(what: string, work: () => Promise<T>): Promise<T> {
  const began = performance.now()
  const result = await work()
  console.log(`${what.padEnd(44)} ${(performance.now() - began).toFixed(1)} ms`)
  return result
}

const settlement = (outcome: Outcome, retryAt: number) => ({
  outcomes: new Map([[1, outcome]]),
  retryAt,
  counted: true,
})

async function putAndSettle(store: LmdbStore): Promise<void> {
  const mail = message('a')
  const claim = { lanes: new Set([mail.entries[0]!.lane]), now: 0, leaseMs: 60_000 }
  const [claimed] = await store.put(mail, source(BODY), claim, CALL)
  await store.settle(claimed!, settlement(RELAYED, 0))
}

async function measure(store: LmdbStore, where: string): Promise<void> {
  await rate(`put with claim, settled (${where})`, ROUND, () => putAndSettle(store))
  const claims: Claim[] = []
  for (let number = 0; number < ROUND; number++) {
    const mail = message('d')
    const claim = { lanes: new Set([mail.entries[0]!.lane]), now: 0, leaseMs: 60_000 }
    claims.push(...(await store.put(mail, source(Buffer.alloc(10)), claim, CALL)))
  }
  await rate(`deferred (${where})`, claims.length, () => store.settle(claims.pop()!, settlement(DEFERRED, 1e12)))
  await timed(`stats (${where})`, () => store.stats())
  await timed(`shape (${where})`, () => store.shape({ now: ids * 10, ages: [300_000, 600_000, 1_200_000], limit: 20 }))
}

/** Removes half of the queue while mail comes, and says how long mail waited at most. */
async function removeBesideMail(store: LmdbStore): Promise<void> {
  const delay = monitorEventLoopDelay({ resolution: 5 })
  delay.enable()
  let worst = 0
  let stop = false
  const arriving = (async (): Promise<number> => {
    let count = 0
    for (; !stop; count++) {
      const began = performance.now()
      await store.put(message('n'), source(BODY), undefined, CALL)
      worst = Math.max(worst, performance.now() - began)
    }
    return count
  })()
  const began = performance.now()
  const removed = await store.remove({ arrivedBefore: (ids * 10) / 2 })
  const seconds = (performance.now() - began) / 1_000
  stop = true
  const taken = await arriving
  const loop = (delay.max / 1e6).toFixed(0)
  console.log(
    `removed ${removed} in ${seconds.toFixed(1)} s while ${taken} came: at most ${worst.toFixed(0)} ms each, loop ${loop} ms`,
  )
}

const store = lmdbStore({ directory, minFree: 0 })
await store.open(SILENT)
await measure(store, 'empty')
await rate(`put`, Number(backlog), () => store.put(message('q'), source(BODY), undefined, CALL))
await measure(store, 'full')
await removeBesideMail(store)
await timed('closed', () => store.close())
await timed('opened', () => store.open(SILENT))
await store.close()
console.log(`memory ${Math.round(process.memoryUsage().rss / 2 ** 20)} MB`)
if (given === undefined) await rm(directory, { recursive: true })
