import type { MailOptions, Notify, Outcome, Recipient } from '@mailwright/core'
import { deferred, delivered, failed, testJob } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { addressees, CALL, caredFor, type QueueBench } from './testing-support/queue-bench.ts'

const started = caredFor()
const SENDER = 'sender@example.net'
const HOUR = 3_600_000

/** Everything is late, except mail to the sender. */
function late({ address }: Recipient): Outcome {
  return address.domain === 'example.net' ? delivered() : deferred('451 4.4.1 no answer')
}

interface Mail {
  readonly wishes?: Readonly<Record<string, readonly Notify[] | undefined>>
  readonly sender?: string | null
  readonly options?: MailOptions
}

async function send(
  bench: QueueBench,
  { wishes = { 'ann@example.org': undefined }, ...mail }: Mail = {},
): Promise<void> {
  const job = testJob({ sender: SENDER, to: Object.keys(wishes), arrivedAt: bench.clock.now(), ...mail })
  const recipients = job.envelope.recipients.map((each): Recipient => {
    const notify = wishes[`${each.address.local}@${each.address.domain}`]
    return notify === undefined ? each : { ...each, notify }
  })
  await bench.queue.deliver({ ...job, envelope: { ...job.envelope, recipients } }, CALL)
  await bench.clock.settle()
}

function notices({ smtp }: QueueBench): readonly string[] {
  return smtp.jobs
    .filter((job) => addressees(job).includes(SENDER))
    .map(({ message }) => Buffer.concat([message.head, message.buffered!]).toString())
}

describe('mail that is late', () => {
  it('is reported once to its sender, and goes on being tried until it fails', async () => {
    const bench = await started({ outcomes: late, warnAfter: '4h', lifetime: '1d' })
    await send(bench)
    await bench.clock.advance(4 * HOUR - 1)
    expect(notices(bench)).toEqual([])
    await bench.clock.advance(2 * HOUR)
    const [warning, ...more] = notices(bench)
    expect(more).toEqual([])
    expect(warning).toContain('Subject: Delayed Mail (still being retried)')
    expect(warning).toMatch(/Action: delayed\r\nStatus: 4\.4\.1\r\n[\s\S]*Will-Retry-Until: Fri, 02 Jan 2026 00:00:00/)
    expect(warning).toContain('text/rfc822-headers')
    expect(await bench.entries()).toMatchObject([{ warned: true }])
    expect(bench.scope.events.of('message.bounced')).toMatchObject([{ about: 'delay', recipients: [{ id: 1 }] }])
    await bench.clock.advance(24 * HOUR)
    expect(notices(bench).map((text) => /Action: (\w+)/.exec(text)![1])).toEqual(['delayed', 'failed'])
    expect(await bench.entries()).toEqual([])
  })

  it('is not reported where nobody asked for that', async () => {
    const bench = await started({ outcomes: late, lifetime: '1d' })
    await send(bench)
    await bench.clock.advance(20 * HOUR)
    expect(notices(bench)).toEqual([])
  })

  it('is reported for those recipients of whose delay the sender wants to hear', async () => {
    const bench = await started({ outcomes: late, warnAfter: '4h' })
    await send(bench, {
      wishes: {
        'ann@example.org': undefined,
        'bob@example.org': ['failure', 'success'],
        'cid@example.org': ['never'],
        'dan@example.org': ['delay'],
      },
    })
    await bench.clock.advance(6 * HOUR)
    const [warning, ...more] = notices(bench)
    expect(more).toEqual([])
    expect(warning!.match(/Final-Recipient: \S+ \S+/g)).toEqual([
      'Final-Recipient: rfc822; ann@example.org',
      'Final-Recipient: rfc822; dan@example.org',
    ])
  })

  it('from nobody is reported to nobody', async () => {
    const bench = await started({ outcomes: late, warnAfter: '4h' })
    await send(bench, { sender: null })
    await bench.clock.advance(10 * HOUR)
    expect(await bench.entries()).not.toMatchObject([{ warned: true }])
    expect(bench.scope.events.of('message.bounced')).toEqual([])
    expect(bench.scope.events.of('message.undeliverable')).toEqual([])
  })

  it('is counted from its release, where it was to wait', async () => {
    const bench = await started({ outcomes: late, warnAfter: '4h' })
    await send(bench, { options: { notBefore: bench.clock.now() + 10 * HOUR } })
    await bench.clock.advance(14 * HOUR - 1)
    expect(notices(bench)).toEqual([])
    await bench.clock.advance(2 * HOUR)
    expect(notices(bench)).toHaveLength(1)
  })

  it('shares its notice with what failed in the same attempt', async () => {
    const start = Date.UTC(2026, 0, 1)
    const bench = await started({
      warnAfter: '4h',
      outcomes: (recipient) =>
        recipient.address.local === 'bob' && bench.clock.now() - start > 4 * HOUR
          ? failed('550 5.1.1 gone')
          : late(recipient),
    })
    await send(bench, { wishes: { 'ann@example.org': undefined, 'bob@example.org': undefined } })
    await bench.clock.advance(6 * HOUR)
    expect(notices(bench)).toHaveLength(1)
    expect(notices(bench)[0]).toMatch(
      /bob@example\.org[\s\S]*Action: failed[\s\S]*ann@example\.org[\s\S]*Action: delayed/,
    )
    expect(bench.scope.events.of('message.bounced')).toMatchObject([{ about: 'both' }])
  })

  it('is reported though others of the message have failed before', async () => {
    const bench = await started({
      warnAfter: '4h',
      outcomes: (recipient) => (recipient.address.local === 'bob' ? failed('550 5.1.1 gone') : late(recipient)),
    })
    await send(bench, { wishes: { 'ann@example.org': undefined, 'bob@example.org': undefined } })
    await bench.clock.advance(6 * HOUR)
    expect(bench.scope.events.of('message.bounced').map(({ about }) => about)).toEqual([undefined, 'delay'])
  })

  it('is reported at the next attempt when its sender cannot be routed at this one', async () => {
    let broken = true
    const bench = await started({
      outcomes: late,
      warnAfter: '4h',
      routes: {
        '@example.net': () => {
          if (broken) throw new Error('the table is down')
          return { kind: 'send', lane: { transport: 'smtp', destination: 'example.net' } }
        },
      },
    })
    await send(bench)
    await bench.clock.advance(6 * HOUR)
    expect(notices(bench)).toEqual([])
    expect(await bench.entries()).not.toMatchObject([{ warned: true }])
    broken = false
    await bench.clock.advance(2 * HOUR)
    expect(notices(bench)).toHaveLength(1)
  })
})

describe('mail late by a time the sender has set', () => {
  it('is reported with the status of that', async () => {
    const bench = await started({ outcomes: late })
    const at = bench.clock.now() + HOUR
    await send(bench, {
      wishes: { 'ann@example.org': ['failure'], 'bob@example.org': ['never'] },
      options: { deliverBy: { at, otherwise: 'notify', trace: false } },
    })
    await bench.clock.advance(3 * HOUR)
    const [warning, ...more] = notices(bench)
    expect(more).toEqual([])
    expect(warning).toMatch(/Action: delayed\r\nStatus: 4\.4\.7/)
    expect(warning).not.toContain('bob@')
  })
})
