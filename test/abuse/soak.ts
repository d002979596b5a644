/**
 * Thousands of sessions of every kind against one server, and what is left of them afterwards: `node test/abuse/soak.ts
 * [sessions] [seed]`. Prints its figures as one JSON object. Ends with 1 when an acknowledged message is missing, when
 * a reply was improper, or at once when an error was nobody's.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type Policy, policy, sleep } from '@mailwright/core'
import { systemClock } from '@mailwright/kernel'
import { lmdbStore } from '@mailwright/store-lmdb'
import { seededRandom, testAuthority } from '@mailwright/testing'
import { commit, drawOffence } from './offences.ts'
import { startTarget } from './target.ts'

const [sessions, seed] = [Number(process.argv[2] ?? 10_000), Number(process.argv[3] ?? 1)]
/** The first so many sessions warm the program up: what it holds is compared from there on. */
const WARM_UP = 3_000
const CLIENTS = 20
const GC_ROUNDS = 10
/** A connection, counted from its accept, is closed by the server this long after it has ended its side. */
const LINGER_MS = 6_000
/** No session takes longer, not even on a machine that has much else to do. */
const SESSION_MS = 60_000

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

interface Holdings {
  /** MiB. */
  readonly heap: number
  /** MiB outside the heap: buffers. */
  readonly external: number
  readonly descriptors: number
  readonly resources: Readonly<Record<string, number>>
  readonly connections: number
}

const random = seededRandom(seed)
const directory = mkdtempSync(join(tmpdir(), 'mailwright-soak-'))

/** Some clients are kept waiting for the greeting: time to talk early. */
const slowGreeting: Policy = policy('slow', {
  connect: (call) => (random.float() < 0.1 ? sleep(systemClock(), 3, call.signal) : undefined),
})
const target = await startTarget({
  store: lmdbStore({ directory, mapSize: 2 ** 30 }),
  random,
  deferrals: 5,
  policies: [slowGreeting],
  listener: { tls: testAuthority().issue({ names: ['mx.example.org'] }) },
})

const complaints: string[] = []
const counts = new Map<string, number>()

async function misbehave(count: number): Promise<void> {
  let left = count
  async function client(): Promise<void> {
    while (left-- > 0) {
      const offence = drawOffence(random)
      counts.set(offence.name, (counts.get(offence.name) ?? 0) + 1)
      const client = await target.connect()
      const watch = setTimeout(() => {
        complaints.push(`${offence.name}: no end after ${SESSION_MS} ms, ${client.codes}`)
        client.leave('reset')
      }, SESSION_MS)
      const complaint = await commit(offence, client, { random, ledger: target.ledger })
      clearTimeout(watch)
      if (complaint !== undefined) complaints.push(`${offence.name}: ${complaint}`)
    }
  }
  await Promise.all(Array.from({ length: CLIENTS }, client))
  const patience = Date.now() + LINGER_MS
  while (target.listener.connections > 0 && Date.now() < patience)
    await new Promise((resolve) => setTimeout(resolve, 5))
  await target.queueEmpty()
}

async function holdings(): Promise<Holdings> {
  // What V8 compiled and what waits for finalizers goes only after a while.
  let heapUsed = Number.POSITIVE_INFINITY
  for (let round = 0; round < GC_ROUNDS; round++) {
    await new Promise((resolve) => setTimeout(resolve, 100))
    collectGarbage()
    heapUsed = Math.min(heapUsed, process.memoryUsage().heapUsed)
  }
  const { external } = process.memoryUsage()
  const resources: Record<string, number> = {}
  for (const kind of process.getActiveResourcesInfo()) resources[kind] = (resources[kind] ?? 0) + 1
  return {
    heap: Math.round(heapUsed / 10_485.76) / 100,
    external: Math.round(external / 10_485.76) / 100,
    descriptors: readdirSync('/proc/self/fd').length,
    resources,
    connections: target.listener.connections,
  }
}

try {
  await misbehave(WARM_UP)
  const before = await holdings()
  const start = performance.now()
  await misbehave(sessions - WARM_UP)
  const seconds = Math.round(performance.now() - start) / 1_000
  const after = await holdings()
  await target.stop()
  const { ledger, failures } = target
  const report = {
    seed,
    sessions,
    seconds,
    before,
    after,
    acknowledged: ledger.promised,
    arrived: ledger.arrived,
    missing: ledger.missing(),
    corrupt: ledger.corrupt,
    complaints,
    failures: failures.map((event) => ('where' in event ? `${event.where}: ${String(event.error)}` : event.type)),
    offences: Object.fromEntries(counts),
  }
  console.log(JSON.stringify(report))
  const wrong = [report.missing, report.complaints, report.failures].some((list) => list.length > 0)
  if (wrong || report.corrupt > 0) process.exitCode = 1
} finally {
  rmSync(directory, { recursive: true, force: true })
}
