import { formatMailbox, MailwrightError } from '@mailwright/core'
import { mailbox } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { memoryStore } from './memory-store.ts'
import { addressees, caredFor, type QueueBench, queueBench, startedQueue } from './testing-support/queue-bench.ts'

const started = caredFor()

/** Who was written to, and as whom. */
function paths({ smtp }: QueueBench): readonly string[] {
  return smtp.jobs.map((job) => `${formatMailbox(job.envelope.sender)} -> ${addressees(job).join(' ')}`)
}

describe('mail with a sender for each recipient', () => {
  it('goes to each alone, and bounces to the sender it had', async () => {
    const bench = await started({
      verp: {},
      outcomes: { '*': 'ok', 'bob@example.org': '550 5.1.1 gone' },
    })
    await bench.send({ sender: 'news@example.net', to: ['ann@example.org', 'bob@example.org'] })
    await bench.clock.settle()
    expect([...paths(bench)].sort()).toEqual([
      ' -> news+bob=example.org@example.net',
      'news+ann=example.org@example.net -> ann@example.org',
      'news+bob=example.org@example.net -> bob@example.org',
    ])
    expect(bench.scope.events.of('message.bounced')).toMatchObject([
      { sender: mailbox('news+bob=example.org@example.net') },
    ])
    expect(bench.scope.events.of('recipient.settled')[0]).toMatchObject({ sender: mailbox('news@example.net') })
  })

  it('names the recipient the sender gave, wherever an alias leads', async () => {
    const routes = { 'info@example.org': { kind: 'expand', into: [mailbox('ann@example.com')] } } as const
    const bench = await started({ verp: { delimiter: '-' }, routes })
    await bench.send({ sender: 'news@example.net', to: ['info@example.org'] })
    await bench.clock.settle()
    expect(paths(bench)).toEqual(['news-info=example.org@example.net -> ann@example.com'])
  })

  it('is other mail no more than the host says', async () => {
    const bench = await started({ verp: { when: ({ options }) => options.labels?.list === 'news' } })
    await bench.send({ to: ['ann@example.org', 'bob@example.org'] })
    await bench.send({ to: ['cid@example.org'] })
    await bench.send({ to: ['ann@example.org'], options: { labels: { list: 'news' } } })
    await bench.send({ sender: null })
    await bench.clock.settle()
    expect(paths(bench)).toEqual([
      'sender@example.net -> ann@example.org bob@example.org',
      'sender@example.net -> cid@example.org',
      'sender+ann=example.org@example.net -> ann@example.org',
      ' -> ann@example.org',
    ])
  })

  it('keeps its own sender where the other would be too long', async () => {
    const bench = await started({ verp: {} })
    const long = `${'a'.repeat(60)}@example.org`
    await bench.send({ to: [long] })
    await bench.clock.settle()
    expect(paths(bench)).toEqual([`sender@example.net -> ${long}`])
  })

  it('is none that was queued for several before there was such a sender', async () => {
    const store = memoryStore()
    const before = await startedQueue({ store, outcomes: { '*': '450 4.2.0 later' } })
    await before.send({ to: ['ann@example.org', 'bob@example.org'] })
    await before.clock.settle()
    await before.end()
    const bench = await started({ store, verp: {} })
    await bench.clock.advance(3_600_000)
    expect(paths(bench)).toEqual(['sender@example.net -> ann@example.org bob@example.org'])
  })

  it('is refused at assembly in a style that cannot work', () => {
    expect(() => queueBench({ verp: { secret: 'short' } })).toThrow(MailwrightError)
  })
})
