/**
 * Whatever operators do with a queue while it delivers, refuses, waits and crashes, mail is neither lost nor doubled: in
 * the end each recipient was served once, or the sender was told, or an operator removed it.
 */
import { type Lane, type Outcome, type Routing, reply, type Selection, type SuspensionScope } from '@mailwright/core'
import { deferred, failed } from '@mailwright/testing'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { memoryStore } from './memory-store.ts'
import { retryAfter } from './retry.ts'
import { CALL, type QueueBench, queueBench } from './testing-support/queue-bench.ts'

const SENDER = 'sender@example.net'
const DOMAINS = ['a.example', 'b.example', 'c.example']
const BACKUP: Lane = { transport: 'smtp', destination: 'backup.example' }
const SCOPES: readonly SuspensionScope[] = [
  { kind: 'everything' },
  { kind: 'lane', lane: 'smtp:a.example' },
  { kind: 'label', label: 'tenant', value: 'acme' },
]

const domain = fc.constantFrom(...DOMAINS)
const selection: fc.Arbitrary<Selection> = fc.oneof(
  fc.constant({}),
  fc.record({ lane: domain.map((name) => `smtp:${name}`) }),
  fc.record({ recipient: domain.map((name) => `@${name}`) }),
  fc.record({ status: fc.constantFrom('held', 'deferred', 'waiting', 'claimed') }),
)
const act = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('send' as const),
      to: fc.uniqueArray(domain, { minLength: 1, maxLength: 3 }),
      tenant: fc.constantFrom('acme', 'other'),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('wait' as const), seconds: fc.integer({ min: 0, max: 400 }) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom('flush', 'hold', 'release', 'requeue', 'reroute', 'reroute each', 'expire', 'remove'),
      selection,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('suspend', 'resume'), scope: fc.constantFrom(...SCOPES) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('route' as const),
      domain,
      answer: fc.constantFrom('send', 'elsewhere', 'later', 'never', 'broken'),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('weather' as const),
      domain,
      answer: fc.constantFrom<Answer>('ok', 'later', 'unreachable', 'never'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
)
type Act = typeof act extends fc.Arbitrary<infer T> ? T : never
type Answer = 'ok' | 'later' | 'unreachable' | 'never'

/** A queue over one store, which may be stopped and started, and what became of each recipient. */
function world() {
  const store = memoryStore()
  const routes: Record<string, Routing | (() => Routing)> = {}
  const weather = new Map<string, Answer>()
  const fates = new Map<string, string[]>()
  const note = (message: string, address: string, fate: string): void => {
    const key = `${message} ${address}`
    fates.set(key, [...(fates.get(key) ?? []), fate])
  }
  const outcome = (name: string, address: string): Outcome | 'ok' => {
    if (address === SENDER) return 'ok'
    const answer = weather.get(name) ?? 'ok'
    if (answer === 'unreachable') return deferred('451 4.4.1 no answer', 'destination')
    if (answer === 'later') return deferred('450 4.2.0 later')
    return answer === 'never' ? failed('550 5.1.1 no such user') : 'ok'
  }
  const open = (): QueueBench => {
    const bench = queueBench({
      store,
      routes,
      outcomes: ({ address }, job) => outcome(job.lane!.destination, `${address.local}@${address.domain}`),
      takes: '1s',
      retry: retryAfter('5m'),
      lifetime: '30d',
      initialConcurrency: 1,
      concurrencyLimit: 2,
    })
    bench.scope.events.subscribe((event) => {
      if (event.type !== 'recipient.settled' || event.outcome.status === 'deferred') return
      const { local, domain: name } = event.recipient.address
      if (event.sender !== null) note(event.message, `${local}@${name}`, event.outcome.status)
    })
    return bench
  }
  return { routes, weather, fates, note, open }
}

async function play(acts: readonly Act[]): Promise<void> {
  const { routes, weather, fates, note, open } = world()
  let bench = open()
  await bench.queue.start!(CALL)
  const taken: string[] = []
  let sent = 0
  for (const each of acts) {
    const { queue, clock } = bench
    if (each.do === 'send') {
      const id = `m${String(++sent).padStart(3, '0')}`
      const to = each.to.map((name) => `ann@${name}`)
      const outcomes = await bench.send({ id, to, options: { labels: { tenant: each.tenant } } })
      if ([...outcomes.values()].every(({ status }) => status === 'ok'))
        taken.push(...to.map((name) => `${id} ${name}`))
    } else if (each.do === 'wait') await clock.advance(each.seconds * 1_000)
    else if (each.do === 'route') routes[`@${each.domain}`] = answerOf(each.domain, each.answer)
    else if (each.do === 'weather') weather.set(each.domain, each.answer)
    else if (each.do === 'restart') {
      const now = clock.now()
      await bench.end()
      bench = open()
      await bench.clock.advance(Math.max(now - bench.clock.now(), 0))
      await bench.queue.start!(CALL)
    } else if ('scope' in each) {
      if (each.do === 'suspend') await queue.suspend(each.scope, { reason: 'operator' })
      else await queue.resume(each.scope)
    } else if (each.do === 'remove') {
      const meant = { ...each.selection, status: each.selection.status ?? 'held' } as const
      const going = await queue.entries({ selection: meant, limit: 1_000 })
      // Only mail nobody is delivering: what becomes of the rest is a race that the operator has chosen.
      const idle = going.filter((entry) => !entry.claimed)
      const entries = idle.map(({ message, entry }) => ({ message, entry }))
      expect(await queue.remove({ entries })).toBe(idle.length)
      for (const { message, recipients } of idle)
        for (const { address } of recipients) note(message, `${address.local}@${address.domain}`, 'removed')
    } else if (each.do === 'hold') await queue.hold(each.selection, 'operator')
    else if (each.do === 'reroute') await queue.reroute(each.selection, BACKUP)
    else if (each.do === 'reroute each')
      await queue.reroute(each.selection, (entry) => (entry.entry % 2 === 0 ? BACKUP : undefined))
    else await queue[each.do](each.selection)
  }
  // The storm is over.
  for (const name of DOMAINS) delete routes[`@${name}`]
  weather.clear()
  for (const scope of SCOPES) await bench.queue.resume(scope)
  await bench.queue.release({})
  await bench.clock.advance('1d')
  expect(await bench.queue.entries({ limit: 10 })).toEqual([])
  for (const each of taken) expect([each, fates.get(each)]).toEqual([each, [expect.any(String)]])
  await bench.end()
  expect(bench.clock.pending).toBe(0)
}

function answerOf(name: string, answer: string): Routing | (() => Routing) {
  if (answer === 'elsewhere') return { kind: 'send', lane: { transport: 'smtp', destination: `new.${name}` } }
  if (answer === 'later') return { kind: 'refuse', reply: reply(451, '4.3.5', 'the table is being rebuilt') }
  if (answer === 'never') return { kind: 'refuse', reply: reply(550, '5.1.1', 'no such domain') }
  if (answer === 'send') return { kind: 'send', lane: { transport: 'smtp', destination: name } }
  return () => {
    throw new Error('the table is gone')
  }
}

it('each recipient comes to one end, whatever operators do', { timeout: 60_000 }, async () => {
  await fc.assert(fc.asyncProperty(fc.array(act, { minLength: 1, maxLength: 25 }), play), { numRuns: 150, seed: 1_701 })
})
