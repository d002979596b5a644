import type { Capability, Transport } from '@mailwright/core'
import { scriptedTransport, testScope } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { memoryStore } from './memory-store.ts'
import { messageQueue } from './message-queue.ts'
import { retryAfter } from './retry.ts'
import { addressees, caredFor, routerOf } from './testing-support/queue-bench.ts'

const started = caredFor()
const HOUR = 3_600_000

function honouring(...capabilities: readonly Capability[]): Transport {
  return scriptedTransport({ capabilities })
}

describe('a queue promises', () => {
  const plain: Transport = { name: 'plain', deliver: async () => new Map() }

  it.each<readonly [string, readonly Transport[], readonly Capability[]]>([
    ['what its transport does, and to release mail later', [honouring('smtputf8')], ['futurerelease', 'smtputf8']],
    [
      'what all of its transports do',
      [honouring('smtputf8', 'requiretls'), honouring('binarymime', 'smtputf8')],
      ['futurerelease', 'smtputf8'],
    ],
    ['little when one of them honours nothing', [honouring('smtputf8'), plain], ['futurerelease']],
    ['little when the first of them honours nothing', [plain, honouring('smtputf8')], ['futurerelease']],
    ['the notices a sender asks for', [honouring('dsn', 'smtputf8')], ['dsn', 'futurerelease', 'smtputf8']],
    [
      'an end to mail, and a priority, where what is left of them goes on',
      [honouring('deliverby', 'mt-priority'), honouring('mt-priority', 'deliverby', 'dsn')],
      ['deliverby', 'futurerelease', 'mt-priority'],
    ],
    ['nothing that would have to be the whole system', [honouring('etrn')], ['futurerelease']],
  ])('%s', (_what, transports, expected) => {
    const block = messageQueue({
      hostname: 'mx.example.org',
      store: memoryStore(),
      router: routerOf(),
      transports: Object.fromEntries(transports.map((each, index) => [`t${index}`, each])),
    })
    expect([...block.create(testScope()).capabilities!].sort()).toEqual(expected)
  })
})

describe('mail that is not to be delivered before a time', () => {
  it('waits in the queue until then', async () => {
    const { send, smtp, clock, entries, faults } = await started()
    const notBefore = clock.now() + 2 * HOUR
    await send({ to: ['ann@example.org', 'bob@example.com'], options: { notBefore } })
    await clock.advance(2 * HOUR - 1)
    expect(smtp.jobs).toEqual([])
    expect(faults.count('claim')).toBe(0)
    expect((await entries()).map(({ dueAt }) => dueAt)).toEqual([notBefore, notBefore])
    await clock.advance(1)
    expect(smtp.delivered).toEqual(['ann@example.org', 'bob@example.com'])
  })

  it('goes on time also when that is soon', async () => {
    const { send, smtp, clock } = await started()
    await send({ options: { notBefore: clock.now() + 61_000 } })
    await clock.advance(60_999)
    expect(smtp.jobs).toEqual([])
    await clock.advance(1)
    expect(smtp.delivered).toEqual(['ann@example.org'])
  })

  it('does not keep back other mail, and is not kept back by it', async () => {
    const { send, smtp, clock } = await started({
      outcomes: { 'bob@example.org': ['450 4.2.0 later', 'ok'], '*': 'ok' },
      retry: retryAfter(3 * HOUR),
    })
    await send({ to: ['ann@example.org'], options: { notBefore: clock.now() + HOUR } })
    await send({ to: ['bob@example.org'] })
    await clock.advance(HOUR)
    expect(smtp.jobs.map(addressees)).toEqual([['bob@example.org'], ['ann@example.org']])
    await clock.advance(2 * HOUR)
    expect(smtp.delivered).toEqual(['ann@example.org', 'bob@example.org'])
  })

  it('goes at once when that time has passed', async () => {
    const { send, smtp, clock, faults } = await started()
    await send({ options: { notBefore: clock.now() } })
    await clock.settle()
    expect(smtp.delivered).toEqual(['ann@example.org'])
    expect(faults.count('claim')).toBe(0)
  })

  it('has its whole lifetime from its release on', async () => {
    const { send, clock, scope } = await started({
      outcomes: { 'ann@example.org': '450 4.2.0 later', '*': 'ok' },
      retry: retryAfter('1h'),
      lifetime: '2h',
    })
    await send({ options: { notBefore: clock.now() + 10 * HOUR } })
    await clock.advance(11 * HOUR)
    expect(scope.events.of('message.bounced')).toEqual([])
    await clock.advance(HOUR)
    expect(scope.events.of('message.bounced')).toHaveLength(1)
  })
})
