import type { Notify, OkOutcome, Outcome, Recipient } from '@mailwright/core'
import { reply } from '@mailwright/core'
import { failed, mailbox, testJob } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { addressees, CALL, caredFor, type QueueBench } from './testing-support/queue-bench.ts'

const started = caredFor()
const SENDER = 'sender@example.net'

function ok(action: OkOutcome['action'], more: Partial<OkOutcome> = {}): OkOutcome {
  return { status: 'ok', action, reply: reply(250, '2.0.0', 'Ok'), ...more }
}

/** Sends to these, each with what the sender wants to hear, and waits until they are served. */
async function send(
  bench: QueueBench,
  wishes: Readonly<Record<string, readonly Notify[] | undefined>>,
  sender: string | null = SENDER,
): Promise<void> {
  const job = testJob({ sender, to: Object.keys(wishes) })
  const recipients = job.envelope.recipients.map((each): Recipient => {
    const notify = wishes[`${each.address.local}@${each.address.domain}`]
    return notify === undefined ? each : { ...each, notify }
  })
  await bench.queue.deliver({ ...job, envelope: { ...job.envelope, recipients } }, CALL)
  await bench.clock.settle()
}

/** Everything that was sent to the sender. */
function notices({ smtp }: QueueBench): readonly string[] {
  return smtp.jobs
    .filter((job) => addressees(job).includes(SENDER))
    .map(({ message }) => Buffer.concat([message.head, message.buffered!]).toString())
}

function outcomes(served: Outcome) {
  return (recipient: Recipient): Outcome => (recipient.address.domain === 'example.net' ? ok('delivered') : served)
}

describe('a sender who asks to hear of success', () => {
  it.each([
    ['delivered', ok('delivered'), 'delivered'],
    ['relayed to a server without DSN', ok('relayed'), 'relayed'],
    ['expanded', ok('expanded'), 'expanded'],
    ['thrown away', ok('discarded'), 'delivered'],
  ] as const)('hears of mail that was %s', async (_what, served, action) => {
    const bench = await started({ outcomes: outcomes(served) })
    await send(bench, { 'ann@example.org': ['success', 'failure'], 'bob@example.org': undefined })
    const [notice, ...more] = notices(bench)
    expect(more).toEqual([])
    expect(notice).toContain('Subject: Successful Mail Delivery Report')
    expect(notice).toContain(`Final-Recipient: rfc822; ann@example.org`)
    expect(notice).toContain(`Action: ${action}`)
    expect(notice).not.toContain('bob@example.org')
    expect(bench.scope.events.of('message.bounced')).toMatchObject([{ about: 'success', recipients: [{ id: 1 }] }])
    expect(await bench.entries()).toEqual([])
  })

  it.each([
    ['a server with DSN', ok('relayed', { reportedBy: 'next-hop' })],
    ['another queue', ok('queued')],
  ])('hears of it from %s, not from us', async (_who, served) => {
    const bench = await started({ outcomes: outcomes(served) })
    await send(bench, { 'ann@example.org': ['success'] })
    expect(notices(bench)).toEqual([])
  })

  it('hears that an alias for several was expanded, and not for whom', async () => {
    const bench = await started({
      outcomes: outcomes(ok('delivered')),
      routes: {
        'team@example.org': { kind: 'expand', into: [mailbox('ann@example.org'), mailbox('bob@example.com')] },
      },
    })
    await send(bench, { 'team@example.org': ['success', 'failure'] })
    const [notice, ...more] = notices(bench)
    expect(more).toEqual([])
    expect(notice).toMatch(/Final-Recipient: rfc822; team@example\.org[\s\S]*Action: expanded/)
    expect(notice).not.toMatch(/ann@|bob@/)
    const served = bench.smtp.jobs
      .flatMap((job) => job.envelope.recipients)
      .filter(({ notify }) => notify !== undefined)
    expect(served.map(({ address, notify }) => [address.local, notify])).toEqual([
      ['ann', ['failure']],
      ['bob', ['failure']],
    ])
    expect(await bench.entries()).toEqual([])
  })

  it('who asked for nothing else hears nothing of those behind the alias', async () => {
    const keep = { transport: 'smtp', destination: 'example.org' }
    const bench = await started({
      outcomes: ({ address }) => (address.local === 'ann' ? failed('550 5.1.1 gone') : ok('delivered')),
      routes: { 'team@example.org': { kind: 'expand', into: [mailbox('ann@example.org')], keep } },
    })
    await send(bench, { 'team@example.org': ['success'] })
    expect(notices(bench)).toHaveLength(1)
    expect(notices(bench)[0]).toContain('Action: expanded')
  })

  it('hears of the one address behind an alias', async () => {
    const bench = await started({
      outcomes: outcomes(ok('delivered')),
      routes: { 'info@example.org': { kind: 'expand', into: [mailbox('ann@example.org')] } },
    })
    await send(bench, { 'info@example.org': ['success'] })
    expect(notices(bench)[0]).toMatch(/Final-Recipient: rfc822; ann@example\.org[\s\S]*Action: delivered/)
  })

  it('hears of success and failure in one notice', async () => {
    const bench = await started({
      outcomes: ({ address }) => (address.local === 'bob' ? failed('550 5.1.1 no such user') : ok('delivered')),
    })
    await send(bench, { 'ann@example.org': ['success'], 'bob@example.org': ['failure'] })
    const [notice] = notices(bench)
    expect(notice).toContain('Subject: Mail Delivery Status Report')
    expect(notice).toMatch(/Action: failed[\s\S]*Action: delivered/)
    expect(bench.scope.events.of('message.bounced')).toMatchObject([{ about: 'both' }])
  })

  it('is not told when there is nobody to tell, and that is no failure', async () => {
    const bench = await started({ outcomes: outcomes(ok('delivered')) })
    await send(bench, { 'ann@example.org': ['success'] }, null)
    expect(bench.smtp.jobs).toHaveLength(1)
    expect(bench.scope.events.of('message.undeliverable')).toEqual([])
  })

  it('does not get the mail delivered twice when the notice cannot be routed', async () => {
    const bench = await started({
      outcomes: outcomes(ok('delivered')),
      routes: { '@example.net': () => Promise.reject(new Error('the table is down')) },
    })
    await send(bench, { 'ann@example.org': ['success'] })
    expect(bench.scope.events.of('failure')).toHaveLength(1)
    expect(await bench.entries()).toEqual([])
    expect(bench.smtp.jobs).toHaveLength(1)
  })
})

it.each([[undefined], [['failure']], [['delay']], [['never']]] as const)(
  'a sender who asked for %s hears nothing of success',
  async (wish) => {
    const bench = await started({ outcomes: outcomes(ok('delivered')) })
    await send(bench, { 'ann@example.org': wish })
    expect(notices(bench)).toEqual([])
    expect(bench.scope.events.of('message.bounced')).toEqual([])
  },
)
